//! Open files: every client needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is not for clients: calls to providers and idle connections to them (1,000 and 1,024 at
/// most), the database, plugins, the log.
const RESERVED: usize = 2_304;

/// How many of the `wanted` clients there is room for. Raises this process's limit on open files as
/// far as the system allows, as the shells' 1,024 are few for a server.
pub(super) fn room_for(wanted: usize) -> usize {
    let needed = wanted.saturating_add(RESERVED);
    let limit = usize::try_from(raise(u64::try_from(needed).unwrap_or(u64::MAX)));
    let room = room_within(limit.unwrap_or(usize::MAX), wanted);
    if room < wanted {
        tracing::warn!(
            "the limit on open files leaves room for {room} clients; {needed} files make room for {wanted}"
        );
    }
    room
}

fn room_within(limit: usize, wanted: usize) -> usize {
    // Where files are scarce, one half each.
    let room = limit.saturating_sub(RESERVED).max(limit / 2);
    room.min(wanted)
}

/// Makes the limit at least `needed`, if that is allowed. Gives what it is then.
fn raise(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return current;
    }
    let raised = needed.min(limit.maximum.unwrap_or(u64::MAX));
    let wanted = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit on open files");
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_rest_leaves_and_never_less_than_half() {
        assert_eq!(room_within(100_000, 16_384), 16_384);
        assert_eq!(room_within(10_000, 16_384), 10_000 - RESERVED);
        assert_eq!(room_within(1_024, 16_384), 512);
        assert_eq!(room_within(usize::MAX, 16_384), 16_384);
    }
}
