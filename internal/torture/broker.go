package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// runBroker is a NATS server that keeps its files in dir: one that was killed comes back with what it had confirmed.
func runBroker(ctx context.Context, address, dir string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: host, Port: n, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true})
	if err != nil {
		return fmt.Errorf("make the broker: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return errors.New("the broker is not ready within a minute")
	}
	fmt.Println("ready")
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
