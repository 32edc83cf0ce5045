package testbroker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// RabbitMQ starts a RabbitMQ server, with a port mapper of Erlang nodes of its own. Stop kills it.
func RabbitMQ(t testing.TB) *Server {
	t.Helper()
	dir, port, mapper, distribution := t.TempDir(), freePort(t), freePort(t), freePort(t)
	for name, text := range map[string]string{"plugins": "[].\n", "env.conf": "", "rabbitmq.conf": "log.console = true\nlog.file = false\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	epmd := &process{
		path: find(t, "epmd", "rabbitmq-server"), args: []string{"-port", strconv.Itoa(mapper), "-address", "127.0.0.1"},
		dir: dir, log: filepath.Join(dir, "epmd.log"), addr: fmt.Sprintf("127.0.0.1:%d", mapper),
	}
	if err := epmd.start(); err != nil {
		t.Fatalf("start epmd: %v", err)
	}
	t.Cleanup(epmd.kill)
	p := &process{
		path: find(t, "rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"),
		dir:  dir, log: filepath.Join(dir, "log"), addr: fmt.Sprintf("127.0.0.1:%d", port),
		env: []string{
			"HOME=" + dir,
			"RUNNING_UNDER_SYSTEMD=true", // the script becomes the server, instead of watching over it
			"ERL_EPMD_PORT=" + strconv.Itoa(mapper), "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_NODENAME=sagaz" + strconv.Itoa(port) + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			"RABBITMQ_NODE_PORT=" + strconv.Itoa(port), "RABBITMQ_DIST_PORT=" + strconv.Itoa(distribution),
			"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
			"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "env.conf"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none", // no busy waiting on a machine that others use
		},
	}
	return launch(t, &Server{URL: "amqp://guest:guest@" + p.addr + "/", start: p.start, stop: p.kill})
}
