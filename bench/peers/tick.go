// The ticks of a goroutine while another spawns by os/exec, with GOMAXPROCS as it comes; see
// ../serve.hpp for the protocol.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Small pages, each written, as touched_memory of serve.hpp has them; kept until the end.
func touch(bytes int) error {
	if bytes == 0 {
		return nil
	}
	memory, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return err
	}
	const noHugePages = 15
	syscall.Madvise(memory, noHugePages)
	for at := 0; at < bytes; at += 4096 {
		memory[at] = 1
	}
	return nil
}

func spawn(program string, count int) error {
	for i := 0; i < count; i++ {
		command := exec.Command(program)
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := command.Run(); err != nil {
			return err
		}
	}
	return nil
}

func tick(program string, count int) (ticks []time.Duration, err error) {
	done := make(chan error)
	go func() { done <- spawn(program, count) }()
	for {
		armed := time.Now()
		select {
		case <-time.After(time.Millisecond):
			ticks = append(ticks, time.Since(armed))
		case err = <-done:
			return
		}
	}
}

func answer(line string, out *bufio.Writer) error {
	words := strings.SplitN(line, " ", 4)
	number := 0
	if len(words) > 1 {
		number, _ = strconv.Atoi(words[len(words)/2])
	}
	switch {
	case words[0] == "touch" && len(words) == 2:
		if err := touch(number); err != nil {
			return err
		}
		fmt.Fprintln(out, "ok 0")
	case words[0] == "run" && len(words) == 4:
		ticks, err := tick(words[3], number)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "ok", len(ticks))
		for _, one := range ticks {
			fmt.Fprintln(out, one.Nanoseconds(), 0)
		}
	default:
		return fmt.Errorf("no such request: %s", line)
	}
	return nil
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "hello Go %s (GOMAXPROCS %d)\n", strings.TrimPrefix(runtime.Version(), "go"),
		runtime.GOMAXPROCS(0))
	out.Flush()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); out.Flush() {
		if err := answer(in.Text(), out); err != nil {
			fmt.Fprintln(out, "error", err)
		}
	}
}
