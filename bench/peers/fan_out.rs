// fan_out N PROGRAM: PROGRAM for each line of stdin, by N threads of Rust's std.
use std::io::BufRead;
use std::process::{exit, Command};
use std::sync::{Arc, Mutex};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads: usize = arguments.next().unwrap().parse().unwrap();
    let program = arguments.next().unwrap();
    let lines = Arc::new(Mutex::new(std::io::BufReader::new(std::io::stdin()).lines()));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (lines, program) = (lines.clone(), program.clone());
            std::thread::spawn(move || loop {
                let line = match lines.lock().unwrap().next() {
                    Some(line) => line.unwrap(),
                    None => return,
                };
                if !Command::new(&program).arg(line).status().unwrap().success() {
                    exit(1);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}
