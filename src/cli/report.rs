//! `leasehold report`: what a run was like, as a page.

use std::path::{Path, PathBuf};

use super::{Failure, output};
use crate::files;
use crate::report::{Report, page};

/// Make a page of a run's report: what happened, where each missed vblank came from, and plots
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What 'demo --report' wrote
    #[arg(value_name = "RUN.json")]
    run: PathBuf,
    /// Where the page goes [default: beside the run, with .html in place of .json]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

/// Makes the page, and says where it is.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = &arguments.run;
    let report = Report::parse(&files::read(path)?)
        .map_err(|error| Failure::config(format!("{}: {error}", path.display())))?;
    let out = arguments.out.clone().unwrap_or_else(|| path.with_extension("html"));
    if is_same(&out, path) {
        return Err(Failure::usage(format!(
            "the page would take the place of {}: name another file with --out",
            path.display()
        )));
    }
    files::write(&out, |file| file.write_all(page::html(&report).as_bytes()))?;
    output::line(out.display().to_string())
}

fn is_same(out: &Path, run: &Path) -> bool {
    out == run || matches!((out.canonicalize(), run.canonicalize()), (Ok(out), Ok(run)) if out == run)
}
