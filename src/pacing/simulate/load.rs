//! What each frame of a simulated run costs: from a table, or from a model.

use super::model::{Model, Modelled};
use crate::time::Span;

/// What one frame costs, and by how much clocks are off for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// From the latch until the picture is drawn.
    pub composite: Span,
    /// From when the app begins a frame until it hands it over.
    pub app: Span,
    /// From when the loop asked to be woken until it was.
    pub wake_late: Span,
    /// By how much the kernel's stamp of the vblank is off; either way.
    pub timestamp_noise: Span,
}

/// The costs of any number of frames, one after the other.
#[derive(Clone, Debug)]
pub enum Load {
    /// Row by row, and again from the first.
    Table {
        /// The rows; at least one.
        rows: Vec<Costs>,
        /// The one that comes next.
        next: usize,
    },
    /// Made up.
    Model(Box<Modelled>),
}

/// The table's columns, in the order of [`Costs`], and the nanoseconds of their unit.
const COLUMNS: [(&str, f64); 4] =
    [("composite_us", 1e3), ("app_us", 1e3), ("wake_late_us", 1e3), ("timestamp_noise_ns", 1.0)];
/// Ten seconds: nothing that a frame could sensibly need, and nothing that could overflow.
const MOST_NS: f64 = 10e9;

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It has no header, or one with other columns.
    #[error(
        "line 1: '{found}' is not the header: write 'composite_us,app_us,wake_late_us,timestamp_noise_ns'"
    )]
    Header {
        /// The line that is there.
        found: String,
    },
    /// A row has too many or too few cells.
    #[error("line {line}: {found} cells where there are 4 columns")]
    Cells {
        /// Counted from 1, the header's line.
        line: usize,
        /// How many cells it has.
        found: usize,
    },
    /// A cell is no number, or none that makes sense.
    #[error("line {line}, column {column}: '{found}' is not a number {range}")]
    Cell {
        /// Counted from 1, the header's line.
        line: usize,
        /// The column's name.
        column: &'static str,
        /// What stands there.
        found: String,
        /// What would do.
        range: &'static str,
    },
    /// It has a header and nothing else.
    #[error("there is no row below the header: write one for each frame")]
    Empty,
}

impl Load {
    /// The load of that model; the same seed gives the same frames.
    pub fn model(model: Model, seed: u64) -> Self {
        Self::Model(Box::new(Modelled::new(model, seed)))
    }

    /// The load that a table in CSV tells: a header with the four columns, and a row for each frame. Empty lines and
    /// blanks around numbers do not count.
    ///
    /// # Errors
    /// When the header is another, a row has not four cells, a cell is no number in its range, or there is no row.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
        let header = lines.next().map_or("", |(_, line)| line);
        if !header.split(',').map(str::trim).eq(COLUMNS.map(|(name, _)| name)) {
            let found = header.chars().take(80).collect();
            return Err(LoadError::Header { found });
        }
        let rows: Vec<Costs> = lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(line, text)| row(line, text))
            .collect::<Result<_, _>>()?;
        if rows.is_empty() { Err(LoadError::Empty) } else { Ok(Self::Table { rows, next: 0 }) }
    }

    /// What the next frame costs.
    pub fn next_frame(&mut self) -> Costs {
        match self {
            Self::Table { rows, next } => {
                let costs = rows[*next];
                *next = (*next + 1) % rows.len();
                costs
            }
            Self::Model(modelled) => modelled.next_frame(),
        }
    }
}

fn row(line: usize, text: &str) -> Result<Costs, LoadError> {
    let mut spans = [Span::ZERO; COLUMNS.len()];
    let found = text.split(',').count();
    if found != spans.len() {
        return Err(LoadError::Cells { line, found });
    }
    for ((span, cell), (column, unit_ns)) in spans.iter_mut().zip(text.split(',')).zip(COLUMNS) {
        let signed = unit_ns == 1.0;
        let ns = cell.trim().parse::<f64>().ok().map(|number| number * unit_ns);
        let fits = |ns: &f64| ns.abs() <= MOST_NS && (signed || *ns >= 0.0);
        let ns = ns.filter(fits).ok_or_else(|| LoadError::Cell {
            line,
            column,
            found: cell.trim().chars().take(40).collect(),
            range: if signed { "between -10000000000 and 10000000000" } else { "from 0 to 10000000" },
        })?;
        *span = Span::from_ns(ns.round() as i64);
    }
    let [composite, app, wake_late, timestamp_noise] = spans;
    Ok(Costs { composite, app, wake_late, timestamp_noise })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "composite_us,app_us,wake_late_us,timestamp_noise_ns\n";

    fn refusal(table: &str) -> String {
        Load::parse(table).expect_err("it is no load").to_string()
    }

    #[test]
    fn rows_come_in_turn_and_again() {
        let mut load = Load::parse(&format!("{HEADER}2500, 0,12.5,-20000\r\n\r\n5000,1,0,7\n")).unwrap();
        let first = Costs {
            composite: Span::from_us(2500),
            app: Span::ZERO,
            wake_late: Span::from_ns(12_500),
            timestamp_noise: Span::from_ns(-20_000),
        };
        assert_eq!(load.next_frame(), first);
        assert_eq!(load.next_frame().composite, Span::from_ms(5));
        assert_eq!(load.next_frame(), first);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_column() {
        assert!(refusal("").starts_with("line 1: '' is not the header"));
        assert!(refusal("composite_us,app_us\n1,2\n").starts_with("line 1: 'composite_us,app_us'"));
        assert!(refusal(HEADER).starts_with("there is no row"));
        assert_eq!(refusal(&format!("{HEADER}1,2,3,4\n1,2\n")), "line 3: 2 cells where there are 4 columns");
        assert_eq!(
            refusal(&format!("{HEADER}1,2,3,4\n\n1,two,3,4\n")),
            "line 4, column app_us: 'two' is not a number from 0 to 10000000"
        );
        assert!(refusal(&format!("{HEADER}-1,2,3,4\n")).starts_with("line 2, column composite_us: '-1'"));
        for nonsense in ["nan", "inf", "1e300", "", "-1e11"] {
            let refusal = refusal(&format!("{HEADER}1,2,3,{nonsense}\n"));
            assert!(refusal.starts_with("line 2, column timestamp_noise_ns"), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(composite_us,app_us,wake_late_us,timestamp_noise_ns\n)?[-0-9.,e\n a]{0,60}") {
            if let Ok(mut load) = Load::parse(&text) {
                prop_assert!(load.next_frame().composite >= Span::ZERO);
            }
        }
    }
}
