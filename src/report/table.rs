//! Rows of values under named columns: small in JSON, and columns can be added without breaking a reader.

use serde::{Deserialize, Serialize};

/// Columns by name, and rows in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The columns' names; units stand in them.
    pub columns: Vec<String>,
    /// As many cells as there are columns, each.
    pub rows: Vec<Vec<Cell>>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A count, or nanoseconds.
    Integer(i64),
    /// A measure.
    Number(f64),
    /// A name.
    Text(String),
    /// Not known.
    Missing(()),
}

impl Table {
    /// One with these columns and no rows.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| name.to_string()).collect(), rows: Vec::new() }
    }

    /// Where a column stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|known| known == name)
    }

    /// The values of a column as numbers, row by row; `None` for each that is missing or none.
    pub fn numbers<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<f64>> + use<'a> {
        let column = self.column(name);
        self.rows.iter().map(move |row| column.and_then(|column| row.get(column)).and_then(Cell::number))
    }
}

impl Cell {
    /// A measure to a thousandth, which is a nanosecond where it is in microseconds.
    pub fn thousandths(value: f64) -> Self {
        Self::Number((value * 1e3).round() / 1e3)
    }

    /// As a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Missing(()) => None,
        }
    }

    /// As a whole number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// As a text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<Option<Cell>> for Cell {
    fn from(cell: Option<Cell>) -> Self {
        cell.unwrap_or(Self::Missing(()))
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_after_a_journey_through_json() {
        let mut table = Table::new(&["frame", "wake_us", "cause"]);
        table.rows.push(vec![Cell::Integer(7), Cell::thousandths(-1.23456), Cell::Text("gpu_late".into())]);
        table.rows.push(vec![Cell::from(u64::MAX), None.into(), None.into()]);
        let json = serde_json::to_string(&table).unwrap();
        assert!(json.contains(r#"[7,-1.235,"gpu_late"]"#) && json.contains("null"), "{json}");
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
        assert_eq!(table.numbers("wake_us").collect::<Vec<_>>(), [Some(-1.235), None]);
        assert_eq!(table.numbers("nothing").collect::<Vec<_>>(), [None, None]);
    }
}
