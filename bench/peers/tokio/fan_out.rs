// fan_out N PROGRAM: PROGRAM for each line of stdin, N at once, by Tokio's multi-thread runtime.
use std::io::BufRead;
use std::process::exit;
use std::sync::Arc;
use tokio::process::Command;
use tokio::sync::Semaphore;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let at_once: u32 = arguments.next().unwrap().parse().unwrap();
    let program = arguments.next().unwrap();
    let room = Arc::new(Semaphore::new(at_once as usize));
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let place = room.clone().acquire_owned().await.unwrap();
        let mut command = Command::new(&program);
        tokio::spawn(async move {
            if !command.arg(line).status().await.unwrap().success() {
                exit(1);
            }
            drop(place);
        });
    }
    let _ = room.acquire_many(at_once).await.unwrap();
}
