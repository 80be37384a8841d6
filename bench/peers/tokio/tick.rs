// The ticks of a current-thread runtime of Tokio while tokio::process spawns on it.

#[path = "../protocol.rs"]
mod protocol;

use std::io;
use std::time::{Duration, Instant};
use tokio::process::Command;

async fn spawn(program: &str, count: usize) -> io::Result<()> {
    let mut command = Command::new(program);
    for _ in 0..count {
        if !command.spawn()?.wait().await?.success() {
            return Err(io::Error::new(io::ErrorKind::Other, "the child failed"));
        }
    }
    Ok(())
}

async fn tick(program: &str, count: usize) -> io::Result<protocol::Samples> {
    let spawning = spawn(program, count);
    tokio::pin!(spawning);
    let mut ticks = Vec::new();
    loop {
        let armed = Instant::now();
        let timer = tokio::time::sleep(Duration::from_millis(1));
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                _ = &mut timer => break,
                result = &mut spawning => return result.map(|_| ticks),
            }
        }
        ticks.push((armed.elapsed().as_nanos(), 0));
    }
}

// Cargo has written down what it took.
fn version() -> String {
    let mut lines = include_str!("Cargo.lock").lines();
    lines.find(|line| *line == "name = \"tokio\"");
    let version = lines.next().unwrap_or("").trim_start_matches("version = ");
    format!("Tokio {}", version.trim_matches('"'))
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    protocol::serve(&version(), |program, count| runtime.block_on(tick(program, count)))
}
