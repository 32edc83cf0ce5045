package rig

import (
	"errors"
	"net"
	"strconv"
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

// FreePort returns a port of the loopback that nobody listens on.
func FreePort() (int, error) {
	ports.CompareAndSwap(0, time.Now().UnixNano()/1000)
	for range lastPort - firstPort {
		port := firstPort + int(ports.Add(1)%(lastPort-firstPort))
		l, err := net.Listen("tcp", loopback(port)) //nolint:noctx // listening takes no time
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// FreeAddress is the address of a FreePort.
func FreeAddress() (string, error) {
	port, err := FreePort()
	if err != nil {
		return "", err
	}
	return loopback(port), nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
