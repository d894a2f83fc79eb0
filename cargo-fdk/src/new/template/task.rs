//! A function without code: `FDK_MODEL` in `func.yaml` names the model, `FDK_TASK` what it is asked for.

fn main() -> std::process::ExitCode {
    fdk::serve_assets()
}
