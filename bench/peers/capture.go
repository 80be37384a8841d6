// capture PROGRAM...: keeps what it writes.
package main

import (
	"os"
	"os/exec"
)

func main() {
	if _, err := exec.Command(os.Args[1], os.Args[2:]...).Output(); err != nil {
		os.Exit(1)
	}
}
