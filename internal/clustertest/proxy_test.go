package clustertest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands before a TCP server and does to its connections what bad networks do.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	cond   *sync.Cond
	refuse bool          // new connections are closed at once
	stall  bool          // bytes are held back; connections stay
	delay  time.Duration // of every piece that passes
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, target: target, conns: map[net.Conn]struct{}{}}
	p.cond = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(func() { p.refuse, p.stall = true, false })
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// set changes how the proxy behaves.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.cond.Broadcast()
}

// cut closes every connection.
func (p *proxy) cut() { p.each(func(c net.Conn) { _ = c.Close() }) }

// halfClose ends one direction of every connection: whoever dialled can still hear, and is no longer heard.
func (p *proxy) halfClose() {
	p.each(func(c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseRead()
		}
	})
}

func (p *proxy) each(fn func(net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		fn(c)
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		return
	}
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close()
	p.set(func() { p.conns[in] = struct{}{} })
	defer p.set(func() { delete(p.conns, in) })
	var both sync.WaitGroup
	both.Go(func() { p.pump(out, in) })
	both.Go(func() { p.pump(in, out) })
	both.Wait()
}

// pump copies one direction to its end and passes the end on.
func (p *proxy) pump(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.pass()
			if _, failed := to.Write(buf[:n]); failed != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = to.(*net.TCPConn).CloseWrite()
			} else {
				_ = to.Close()
			}
			return
		}
	}
}

func (p *proxy) pass() {
	p.mu.Lock()
	for p.stall {
		p.cond.Wait()
	}
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
}
