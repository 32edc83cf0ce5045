package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

// Server listens for the API. It answers that it is not ready until a backend is attached.
type Server struct {
	cfg     Config
	http    *http.Server
	addr    string
	tokens  *file[[]token]
	backend atomic.Pointer[Backend]
	served  chan struct{}
	ctx     context.Context // of Watch and Await
	cancel  context.CancelFunc
	close   sync.Once
	closed  error
}

// Listen opens the port and serves it. Close it when done.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	addr, err := cfg.address()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, served: make(chan struct{})}
	if cfg.Tokens != "" {
		if s.tokens, err = newFile(cfg.Tokens, "", cfg.Logger, parseTokens); err != nil {
			return nil, fmt.Errorf("tokens of the API: %w", err)
		}
	}
	tls, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	s.addr = listener.Addr().String()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: s.handler(), TLSConfig: tls,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: requestTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		Protocols: protocols(), ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug), // what callers do wrong
	}
	go func() {
		defer close(s.served)
		if tls != nil {
			err = s.http.ServeTLS(listener, "", "")
		} else {
			err = s.http.Serve(listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			cfg.Logger.Error("the API stopped", "error", err)
		}
	}()
	s.announce(tls != nil)
	return s, nil
}

func (s *Server) announce(secure bool) {
	s.cfg.Logger.Info("the API listens", "address", s.addr, "tls", secure)
	if s.tokens == nil {
		s.cfg.Logger.Warn("the API has no tokens: it listens on loopback only, and whoever is on this machine may use it", "address", s.addr)
	}
}

// protocols lets gRPC in with and without TLS.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

// Addr returns where the server listens, as host:port.
func (s *Server) Addr() string { return s.addr }

// Attach gives the server what it asks; from now on it answers.
func (s *Server) Attach(b Backend) { s.backend.Store(&b) }

// Close takes no more requests, ends those that wait for sagas, and gives the others until ctx ends. It is idempotent.
func (s *Server) Close(ctx context.Context) error {
	s.close.Do(func() {
		s.cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			s.closed = errors.Join(fmt.Errorf("close the API: %w", err), s.http.Close())
		}
		<-s.served
	})
	return s.closed
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	path, service := sagazpbconnect.NewSagaServiceHandler(&service{server: s},
		connect.WithInterceptors(newGuard(s)), connect.WithReadMaxBytes(maxBodyBytes),
		connect.WithCodec(strictJSON{"json"}), connect.WithCodec(strictJSON{"json; charset=utf-8"}))
	mux.Handle(path, service)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
		DisableCompression: true, // a third of what a scrape takes, to save 60 kB every 15 seconds or so
	}))
	if s.cfg.Pprof {
		mux.Handle("GET /debug/pprof/", s.operators(http.HandlerFunc(pprof.Index)))
		mux.Handle("GET /debug/pprof/profile", s.operators(http.HandlerFunc(pprof.Profile)))
		mux.Handle("GET /debug/pprof/trace", s.operators(http.HandlerFunc(pprof.Trace)))
		mux.Handle("GET /debug/pprof/symbol", s.operators(http.HandlerFunc(pprof.Symbol)))
	}
	return http.MaxBytesHandler(s.sameOrigin(mux), maxBodyBytes)
}

// sameOrigin keeps web pages of others from using the API through an operator's browser: neither by a form, nor, where no token is asked
// for, under a name that resolves to this machine.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.tokens == nil {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = r.Host
			}
			if !isLoopback(host) {
				http.Error(w, fmt.Sprintf("without tokens the API answers to localhost only, not to %q", host), http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) operators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.identify(r.Header)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case who.role != Operator:
			http.Error(w, "profiles take the role operator", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// readyTimeout bounds what a probe waits for the store.
const readyTimeout = 2 * time.Second

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) ready(ctx context.Context) error {
	b := s.backend.Load()
	if b == nil {
		return errNotReady
	}
	return (*b).Ready(ctx)
}
