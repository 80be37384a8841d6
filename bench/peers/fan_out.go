// fan_out N PROGRAM: PROGRAM for each line of stdin, by N goroutines with os/exec.
package main

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

func main() {
	workers, _ := strconv.Atoi(os.Args[1])
	lines := make(chan string)
	var all sync.WaitGroup
	for i := 0; i < workers; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for line := range lines {
				if exec.Command(os.Args[2], line).Run() != nil {
					os.Exit(1)
				}
			}
		}()
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lines <- in.Text()
	}
	close(lines)
	all.Wait()
}
