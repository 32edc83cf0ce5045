package cli

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

// tokensEnv names the variable that gives --api-tokens its default.
const tokensEnv = "SAGAZ_API_TOKENS"

// apiOptions are the flags of a node's API and of what it logs.
type apiOptions struct {
	api       sagaz.API
	logFormat string
	logLevel  string
}

func (o *apiOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.api.Listen, "api", "", "serve the API, /metrics, /healthz and /readyz there: host:port; without --api-tokens on loopback only (default: no API)")
	f.StringVar(&o.api.Tokens, "api-tokens", os.Getenv(tokensEnv), "a file of bearer tokens, a line each: NAME viewer|operator TOKEN (default from "+tokensEnv+")")
	f.StringVar(&o.api.TLSCert, "api-tls-cert", "", "the API's certificate, PEM, with --api-tls-key (default: plain HTTP)")
	f.StringVar(&o.api.TLSKey, "api-tls-key", "", "its key, PEM")
	f.BoolVar(&o.api.Pprof, "pprof", false, "serve Go's profiles at /debug/pprof/ of the API, to operators")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; `sagaz log-level` changes it while the node runs")
}

// apply sets up the API and the logger of a node.
func (o *apiOptions) apply(cmd *cobra.Command, cfg *sagaz.Config) error {
	if o.api.Listen != "" {
		cfg.API = &o.api
	}
	cfg.LogLevel = &slog.LevelVar{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: use debug, info, warn or error", o.logLevel)
	}
	cfg.LogLevel.Set(level)
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	switch o.logFormat {
	case "text":
		cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
	case "json":
		cfg.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
	default:
		return fmt.Errorf("--log-format %q: use text or json", o.logFormat)
	}
	return nil
}
