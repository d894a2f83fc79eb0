//! Fits a head of one's own on an embedding model, and how good it is.

use crate::cli::FitHead;
use crate::progress::Progress;
use crate::{Error, Result, fetch};
use fdk_inference::assets::sha256;
use fdk_inference::{Assets, Embedder, Example, Fit, Interrupt, fit};
use std::io::Write as _;
use std::path::Path;

/// Fits the head, prints what it told right and wrong of what was held out, and says how to serve it.
pub(crate) fn run(options: &FitHead) -> Result<()> {
    let examples = read(&options.data)?;
    let folder = match &options.dir {
        Some(folder) => folder.clone(),
        None => fetch::folder_for(&std::env::current_dir().unwrap_or_default())?,
    };
    fetch::fetch(&folder, std::slice::from_ref(&options.model))?;
    let failed = |error: fdk_inference::Error| Error::failed(error.to_string());
    let assets = Assets::open(&folder, Some(&options.model)).map_err(failed)?;
    let (listed, out) = (assets.is_listed(), options.out.clone().unwrap_or_else(|| assets.head_path()));
    let model = Embedder::open(assets).map_err(failed)?;
    let progress = Progress::new(&options.model);
    progress.line(&format!("embedding {} examples", examples.len()));
    let fitted = fit(&model, &examples, &Interrupt::never()).map_err(|error| {
        let data = options.data.display();
        if error.is_input() {
            Error::usage(format!("{data}: {error}"))
        } else {
            Error::failed(error.to_string())
        }
    })?;
    fitted.head.save(&out).map_err(|error| Error::failed(format!("{}: {error}", out.display())))?;
    let print = || -> std::io::Result<()> {
        let mut stdout = std::io::stdout();
        write!(stdout, "{}", report(&fitted))?;
        writeln!(stdout, "\nfitted on all {} examples: {}", examples.len(), out.display())?;
        if listed {
            let path = out.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let (size, sha256) = (std::fs::metadata(&out)?.len(), sha256(&out)?);
            writeln!(
                stdout,
                "to classify by it, add to [{}] in models.toml:\n\
                 head = {{ path = \"{path}\", size = {size}, sha256 = \"{sha256}\" }}",
                options.model
            )?;
        }
        Ok(())
    };
    print().map_err(|error| Error::failed(format!("cannot write: {error}")))
}

fn read(path: &Path) -> Result<Vec<Example>> {
    let usage = |line: Option<usize>, why: &dyn std::fmt::Display| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        Error::usage(format!("{}{line}: {why}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| usage(None, &error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                usage(Some(number + 1), &format!("{error}; a line is {{\"text\": \"…\", \"label\": \"…\"}}"))
            })
        })
        .collect()
}

/// The accuracy, and a row for each label with what its held-out examples were taken for.
fn report(fit: &Fit) -> String {
    use std::fmt::Write as _;
    let (right, held_out, labels) = (fit.right(), fit.held_out(), fit.head.labels());
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = 100.0 * right as f64 / held_out as f64;
    let mut text = format!(
        "held out: {right} of {held_out} right ({share:.0} %), in rows the label, in columns what it was taken for\n"
    );
    let widest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let _ = write!(text, "{:widest$}", "");
    for column in 1..=labels.len() {
        let _ = write!(text, "{column:>5}");
    }
    for (row, (label, counts)) in labels.iter().zip(&fit.confusion).enumerate() {
        let _ = write!(text, "\n{label:widest$}");
        for (column, count) in counts.iter().enumerate() {
            let count = if *count == 0 && row != column { "·".to_owned() } else { count.to_string() };
            let _ = write!(text, "{count:>5}");
        }
    }
    text.push('\n');
    text
}
