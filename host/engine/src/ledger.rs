//! The host's own record of what a call sent. It decides in the end; see the module `judge`.

use onerouter_egress::Written;

/// One request of a call, as the host saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// `POST`.
    pub method: &'static str,
    /// Host name of the provider, before any override.
    pub host: String,
    /// Path without the query.
    pub path: String,
    /// Not GET, not HEAD, and no rule of the manifest calls it a read.
    pub state_changing: bool,
    /// Its first byte was written.
    pub left: bool,
    /// The complete answer; none when it was cut off or never came.
    pub answer: Option<LedgerAnswer>,
}

/// A complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerAnswer {
    /// HTTP status.
    pub status: u16,
    /// The manifest declares this answer to mean that nothing was processed.
    pub not_processed: bool,
}

/// What the ledger of a call comes to. State-changing requests alone count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// None left the host.
    Clean {
        /// Some request, of whatever kind, found nobody to connect to.
        unreachable: bool,
    },
    /// Some left; each has a complete answer, and each answer means "not processed".
    NotProcessed,
    /// Some left; each has a complete answer.
    Answered,
    /// At least one that left has no complete answer.
    Open,
}

impl Trace {
    /// Sums a ledger up.
    #[must_use]
    pub fn of(ledger: &[LedgerEntry]) -> Self {
        let unreachable = ledger.iter().any(|entry| !entry.left);
        ledger
            .iter()
            .filter(|entry| entry.state_changing && entry.left)
            .map(|entry| match entry.answer {
                None => Self::Open,
                Some(answer) if answer.not_processed => Self::NotProcessed,
                Some(_) => Self::Answered,
            })
            .fold(Self::Clean { unreachable }, Self::worse)
    }

    fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::Answered, _) | (_, Self::Answered) => Self::Answered,
            (Self::NotProcessed, _) | (_, Self::NotProcessed) => Self::NotProcessed,
            (Self::Clean { unreachable }, Self::Clean { .. }) => Self::Clean { unreachable },
        }
    }
}

/// An entry while its request may still be under way.
#[derive(Debug)]
pub(crate) struct OpenEntry {
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) state_changing: bool,
    pub(crate) written: Written,
    pub(crate) answer: Option<LedgerAnswer>,
}

impl OpenEntry {
    /// The entry as it stands now. Final as soon as the call's future has ended or was dropped.
    pub(crate) fn close(&self) -> LedgerEntry {
        LedgerEntry {
            method: self.method,
            host: self.host.clone(),
            path: self.path.clone(),
            state_changing: self.state_changing,
            left: self.written.any(),
            answer: self.answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LedgerAnswer, LedgerEntry, Trace};

    fn entry(state_changing: bool, left: bool, answer: Option<(u16, bool)>) -> LedgerEntry {
        LedgerEntry {
            method: if state_changing { "POST" } else { "GET" },
            host: "api.example.com".to_owned(),
            path: "/".to_owned(),
            state_changing,
            left,
            answer: answer.map(|(status, not_processed)| LedgerAnswer {
                status,
                not_processed,
            }),
        }
    }

    #[test]
    fn the_worst_state_changing_request_decides() {
        let read_lost = entry(false, true, None);
        let unreachable = entry(true, false, None);
        let limited = entry(true, true, Some((429, true)));
        let refused = entry(true, true, Some((400, false)));
        let done = entry(true, true, Some((201, false)));
        let open = entry(true, true, None);
        let clean = Trace::Clean { unreachable: false };
        for (ledger, expected) in [
            (vec![], clean),
            (vec![&read_lost], clean),
            (vec![&unreachable], Trace::Clean { unreachable: true }),
            (vec![&limited], Trace::NotProcessed),
            (
                vec![&limited, &unreachable, &read_lost],
                Trace::NotProcessed,
            ),
            (vec![&refused], Trace::Answered),
            (vec![&done], Trace::Answered),
            (vec![&limited, &done], Trace::Answered),
            (vec![&done, &limited], Trace::Answered),
            (vec![&open], Trace::Open),
            (vec![&open, &done, &limited], Trace::Open),
            (vec![&limited, &done, &open, &read_lost], Trace::Open),
        ] {
            let ledger: Vec<_> = ledger.into_iter().cloned().collect();
            assert_eq!(Trace::of(&ledger), expected, "{ledger:?}");
        }
    }
}
