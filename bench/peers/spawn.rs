// Rust's std::process.

mod protocol;

use std::io;
use std::process::Command;
use std::time::Instant;

fn run(program: &str, count: usize) -> io::Result<protocol::Samples> {
    let mut command = Command::new(program);
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let mut child = command.spawn()?;
        let held = start.elapsed().as_nanos();
        if !child.wait()?.success() {
            return Err(io::Error::new(io::ErrorKind::Other, "the child failed"));
        }
        drop(child);
        samples.push((start.elapsed().as_nanos(), held));
    }
    Ok(samples)
}

fn main() -> io::Result<()> {
    let version = format!("Rust std ({})", option_env!("BENCH_RUSTC").unwrap_or("rustc"));
    protocol::serve(&version, run)
}
