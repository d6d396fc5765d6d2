//! Stub.

/// Seam: builds the shells and runs until SIGTERM.
///
/// # Errors
/// Always: the daemon is not wired.
pub fn serve(config: crate::config::Config) -> anyhow::Result<()> {
    let _ = config;
    anyhow::bail!("the daemon is not wired")
}
