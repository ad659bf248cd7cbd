//! Writes the program's man pages and the completions of four shells into a folder, from the one definition of its command
//! line: `manual FOLDER`. What `make install` and the Debian package install.

use std::io::{Error, Write};
use std::path::Path;
use std::process::ExitCode;

use clap_complete::{Shell, generate_to};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        let _ = writeln!(std::io::stderr(), "usage: manual FOLDER");
        return ExitCode::from(2);
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "manual: could not write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder)?;
    let mut command = leasehold::cli::command();
    // A page for each verb, `leasehold-headset-fetch.1` for those of two words.
    clap_mangen::generate_to(command.clone(), folder)?;
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut command, "leasehold", folder)?;
    }
    Ok(())
}
