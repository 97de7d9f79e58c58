//! Medians, ranges, percentiles.

use std::fmt::Write as _;

/// What the rounds of one measurement gave.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Median and range, with so many decimals.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let (Some(least), Some(most)) = (self.0.first(), self.0.last()) else {
            return "–".to_owned();
        };
        let median = self.median();
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }
}

/// The value below which this part of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let at = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A table in Markdown, as the documentation has it.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    pub(crate) fn row(&mut self, cells: &[impl AsRef<str>]) {
        for cell in cells {
            write!(self.0, "| {} ", cell.as_ref()).unwrap();
        }
        self.0.push_str("|\n");
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}\n\n{}", self.0);
    }
}
