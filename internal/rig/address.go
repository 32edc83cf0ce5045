package rig

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Ports below the range that the kernel gives to outgoing connections: none of those takes a port while its server is down.
const (
	firstPort = 20000
	lastPort  = 32000
)

// ports counts on, so that two calls in a row return two ports.
var ports atomic.Int64

// FreeAddress returns a loopback address nobody listens on.
func FreeAddress() (string, error) {
	ports.CompareAndSwap(0, time.Now().UnixNano()/1000)
	for range lastPort - firstPort {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+ports.Add(1)%(lastPort-firstPort))) //nolint:noctx // listening takes no time
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}
