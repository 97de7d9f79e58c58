//! Tables of cases: every row is tried, and those that fail are named together.
//!
//! ```
//! use onerouter_tests::table::Table;
//!
//! let mut table = Table::default();
//! for (number, square) in [(2, 4), (3, 9)] {
//!     let mut row = table.row(number);
//!     row.equal("square", &(number * number), &square);
//! }
//! table.end(2);
//! ```

use std::fmt::{Debug, Display};

use serde_json::Value;

/// The rows so far.
#[derive(Debug, Default)]
pub struct Table {
    rows: usize,
    failures: Vec<String>,
}

/// One row.
#[derive(Debug)]
pub struct Row<'a> {
    name: String,
    failures: &'a mut Vec<String>,
}

impl Table {
    /// Begins a row of this name.
    pub fn row(&mut self, name: impl Display) -> Row<'_> {
        self.rows += 1;
        Row {
            name: name.to_string(),
            failures: &mut self.failures,
        }
    }

    /// Fails unless there were this many rows and all of them held.
    #[track_caller]
    pub fn end(self, rows: usize) {
        let failures = self.failures.join("\n");
        assert!(failures.is_empty(), "these rows do not hold:\n{failures}");
        assert_eq!(self.rows, rows, "rows of the table");
    }
}

impl Row<'_> {
    /// Two values are the same.
    pub fn equal<A: Debug + PartialEq<B> + ?Sized, B: Debug + ?Sized>(
        &mut self,
        what: &str,
        found: &A,
        expected: &B,
    ) {
        if found != expected {
            self.fails(format!("{what} is {found:?} and not {expected:?}"));
        }
    }

    /// An object has these members, and may have more.
    pub fn has(&mut self, what: &str, found: &Value, expected: &Value) {
        for (name, expected) in expected.as_object().unwrap() {
            self.equal(&format!("{what}.{name}"), &found[name], expected);
        }
    }

    /// Something holds.
    pub fn holds(&mut self, what: &str, holds: bool) {
        if !holds {
            self.fails(format!("not so: {what}"));
        }
    }

    fn fails(&mut self, why: String) {
        self.failures.push(format!("{}: {why}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_table_whose_rows_hold_ends_well() {
        let mut table = Table::default();
        table.row("one").equal("value", &1, &1);
        table.end(1);
    }

    #[test]
    fn every_failing_row_is_named() {
        let mut table = Table::default();
        table.row("one").equal("value", &1, &2);
        table.row("two").holds("it", true);
        table.row("three").holds("it", false);
        let failures = table.failures.clone();
        assert_eq!(failures, ["one: value is 1 and not 2", "three: not so: it"]);
        assert!(std::panic::catch_unwind(|| table.end(3)).is_err());
    }

    #[test]
    fn a_missing_row_is_noticed() {
        let table = Table::default();
        assert!(std::panic::catch_unwind(|| table.end(1)).is_err());
    }
}
