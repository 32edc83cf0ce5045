package rig

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Weather is how a proxy treats what passes. The zero value lets everything through.
type Weather struct {
	Refuse    bool          // new connections are closed at once
	Stall     bool          // bytes are held back in both directions; connections stay
	StallUp   bool          // only those from whoever dialled
	StallDown bool          // only those to whoever dialled
	Delay     time.Duration // of every piece that passes
}

// Tap listens to one connection, and may cut it. Its methods are called in turn for each direction, by one goroutine a direction.
type Tap interface {
	// Up hears a piece from whoever dialled, Down one to it. What is returned passes; then, if cut says so, the connection is reset.
	Up(piece []byte) (pass []byte, cut bool)
	Down(piece []byte) (pass []byte, cut bool)
}

// Proxy stands before a TCP server.
type Proxy struct {
	listener net.Listener
	target   string
	tap      func() Tap // of each connection; nil: none

	mu      sync.Mutex
	cond    *sync.Cond
	weather Weather
	conns   map[net.Conn]struct{}
	wg      sync.WaitGroup
}

// NewProxy listens on a free port of the loopback interface. tap makes what listens to each connection; nil: nobody does.
func NewProxy(target string, tap func() Tap) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening takes no time
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, tap: tap, conns: map[net.Conn]struct{}{}}
	p.cond = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Close ends it and its connections. It is idempotent.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Set(Weather{Refuse: true})
	p.Cut()
	p.wg.Wait()
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the weather.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	p.cond.Broadcast()
}

// Cut closes every connection.
func (p *Proxy) Cut() { p.each(func(c net.Conn) { _ = c.Close() }) }

// HalfClose ends one direction of every connection: whoever dialled can still hear, and is no longer heard.
func (p *Proxy) HalfClose() {
	p.each(func(c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseRead()
		}
	})
}

func (p *Proxy) each(fn func(net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		fn(c)
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(in net.Conn) {
	defer func() { _ = in.Close() }()
	if !p.admit(in) {
		return
	}
	defer p.forget(in)
	out, err := net.Dial("tcp", p.target) //nolint:noctx // on the loopback interface it answers at once
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	up, down := through, through
	if p.tap != nil {
		t := p.tap()
		up, down = t.Up, t.Down
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(out, in, up, func(w *Weather) bool { return w.Stall || w.StallUp }) })
	both.Go(func() { p.pump(in, out, down, func(w *Weather) bool { return w.Stall || w.StallDown }) })
	both.Wait()
}

func (p *Proxy) admit(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.weather.Refuse {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func through(piece []byte) ([]byte, bool) { return piece, false }

// pump copies one direction to its end and passes the end on.
func (p *Proxy) pump(to, from net.Conn, tap func([]byte) ([]byte, bool), stalled func(*Weather) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.wait(stalled)
			piece, cut := tap(buf[:n])
			if _, failed := to.Write(piece); failed != nil {
				_ = from.Close()
				return
			}
			if cut {
				reset(to)
				reset(from)
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

// reset closes a connection so that the other end sees it broken, not ended.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func (p *Proxy) wait(stalled func(*Weather) bool) {
	p.mu.Lock()
	for stalled(&p.weather) {
		p.cond.Wait()
	}
	delay := p.weather.Delay
	p.mu.Unlock()
	time.Sleep(delay)
}
