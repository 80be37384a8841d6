// The contestant's side of what serve.hpp describes, for the peers in Rust.

use std::io::{self, BufRead, Write};
use std::os::raw::{c_int, c_long, c_void};

/// Wall and held, in nanoseconds.
pub type Samples = Vec<(u128, u128)>;

extern "C" {
    fn mmap(at: *mut c_void, bytes: usize, prot: c_int, flags: c_int, fd: c_int, off: c_long)
        -> *mut c_void;
    fn madvise(at: *mut c_void, bytes: usize, advice: c_int) -> c_int;
}

// Small pages, each written, as touched_memory of serve.hpp has them; kept until the end.
fn touch(bytes: usize) {
    if bytes == 0 {
        return;
    }
    const READ_WRITE: c_int = 3;
    const PRIVATE_ANONYMOUS: c_int = 0x22;
    const NO_HUGE_PAGES: c_int = 15;
    unsafe {
        let start = mmap(std::ptr::null_mut(), bytes, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
        assert!(start as isize != -1, "mmap");
        madvise(start, bytes, NO_HUGE_PAGES);
        for at in (0..bytes).step_by(4096) {
            (start as *mut u8).add(at).write_volatile(1);
        }
    }
}

/// Serves until stdin ends; `run` gets the program and how many are wanted.
pub fn serve(version: &str, run: impl Fn(&str, usize) -> io::Result<Samples>) -> io::Result<()> {
    let stdout = io::stdout();
    let mut out = io::BufWriter::new(stdout.lock());
    writeln!(out, "hello {}", version)?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match (words[0], words.len()) {
            ("touch", 2) => {
                touch(words[1].parse().unwrap_or(0));
                writeln!(out, "ok 0")?;
            }
            ("run", 4) => match run(words[3], words[2].parse().unwrap_or(0)) {
                Ok(samples) => {
                    writeln!(out, "ok {}", samples.len())?;
                    for (wall, held) in samples {
                        writeln!(out, "{} {}", wall, held)?;
                    }
                }
                Err(problem) => writeln!(out, "error {}", problem)?,
            },
            _ => writeln!(out, "error no such request: {}", line)?,
        }
        out.flush()?;
    }
    Ok(())
}
