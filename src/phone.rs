//! Stub.

/// Seam: runs the test phone; `false`: a call did not go as told.
///
/// # Errors
/// Always: the phone is not wired.
pub fn run(args: crate::cli::phone::PhoneArgs) -> anyhow::Result<bool> {
    let _ = args;
    anyhow::bail!("the phone is not wired")
}
