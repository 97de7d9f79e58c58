//! A statement: one text for both databases, or one for each where their dialects differ, or one
//! for PostgreSQL where SQLite needs several.

/// The text of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

impl Statement {
    /// A text that both understand.
    pub(super) const fn same(text: &'static str) -> Self {
        Self {
            postgres: text,
            sqlite: text,
        }
    }

    /// How many values are to be bound: the highest `$N`, which must be the same in both texts.
    /// SQLite takes a value that was not bound for a null, without a word.
    pub(super) const fn parameters(&self) -> usize {
        let highest = highest_parameter(self.postgres);
        assert!(
            highest == highest_parameter(self.sqlite),
            "both texts must have the same parameters"
        );
        highest
    }
}

/// What PostgreSQL does in one statement, and SQLite, whose `with` cannot write, in several: each
/// statement costs a round trip to a server, and nothing within one process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    pub(super) postgres: &'static str,
    /// Those that do the same, in order. Some run only where there is something to write.
    pub(super) sqlite: &'static [Statement],
}

impl Joined {
    /// How many values are to be bound on PostgreSQL.
    pub(super) const fn parameters(&self) -> usize {
        highest_parameter(self.postgres)
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs at compile time, where iterators cannot; the index is below the length"
)]
const fn highest_parameter(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut highest = 0;
    let mut place = 0;
    while place < bytes.len() {
        let starts = bytes[place] == b'$';
        place += 1;
        if !starts {
            continue;
        }
        let mut number = 0;
        while place < bytes.len() && bytes[place].is_ascii_digit() {
            number = number * 10 + (bytes[place] - b'0') as usize;
            place += 1;
        }
        if number > highest {
            highest = number;
        }
    }
    highest
}

/// The statements of a file, each a constant, and `STATEMENTS`, by which all of them can be tried.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $statement:expr;)+) => {
        $($(#[$doc])* pub(in crate::store) const $name: $crate::store::statement::Statement =
            $statement;)+

        pub(in crate::store) const STATEMENTS: &[(&str, $crate::store::statement::Statement)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name),)+];
    };
}

/// The same for [`Joined`] ones: `JOINED`.
macro_rules! joined_statements {
    ($($(#[$doc:meta])* $name:ident = $statement:expr;)+) => {
        $($(#[$doc])* const $name: $crate::store::statement::Joined = $statement;)+

        pub(in crate::store) const JOINED: &[(&str, $crate::store::statement::Joined)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name),)+];
    };
}

pub(super) use {joined_statements, statements};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        assert_eq!(highest_parameter("select 1"), 0);
        assert_eq!(highest_parameter("select $2, $1, $2"), 2);
        assert_eq!(highest_parameter("select $12 + $3"), 12);
        assert_eq!(highest_parameter("select '$.a', $1"), 1);
    }
}
