package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sagaz/sagaz/internal/rig"
)

const (
	temporalConns = 20
	temporalSpace = "peers"
)

// temporalConfig is the server's. Numbers 7 to 14 are the ports of four services, each for gRPC and for membership.
const temporalConfig = `log: {stdout: true, level: error}
persistence:
  defaultStore: default
  visibilityStore: visibility
  numHistoryShards: %[1]d
  datastores:
    default: {sql: {pluginName: postgres12_pgx, databaseName: %[2]q, connectAddr: %[4]q, connectProtocol: tcp, user: %[5]q, password: "", maxConns: %[6]d, maxIdleConns: %[6]d}}
    visibility: {sql: {pluginName: postgres12_pgx, databaseName: %[3]q, connectAddr: %[4]q, connectProtocol: tcp, user: %[5]q, password: "", maxConns: 10, maxIdleConns: 10}}
global: {membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
services:
  frontend: {rpc: {grpcPort: %[7]d, membershipPort: %[8]d, bindOnLocalHost: true}}
  matching: {rpc: {grpcPort: %[9]d, membershipPort: %[10]d, bindOnLocalHost: true}}
  history: {rpc: {grpcPort: %[11]d, membershipPort: %[12]d, bindOnLocalHost: true}}
  worker: {rpc: {grpcPort: %[13]d, membershipPort: %[14]d, bindOnLocalHost: true}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:%[7]d"}
dynamicConfigClient: {filepath: %[15]q, pollInterval: 1m}
`

const temporalDynamic = `matching.numTaskqueueReadPartitions: [{value: %[1]d}]
matching.numTaskqueueWritePartitions: [{value: %[1]d}]
`

// launchTemporal starts Temporal's server on its databases and returns the address of its frontend.
func (e *temporalEngine) launchTemporal(ctx context.Context, store string) (string, error) {
	at, err := pgx.ParseConfig(store)
	if err != nil {
		return "", err
	}
	visibility := at.Database + "_visibility"
	if _, err := database(ctx, store, visibility); err != nil {
		return "", err
	}
	for name, schema := range map[string]string{at.Database: "temporal", visibility: "visibility"} {
		if err := temporalTables(ctx, at, name, schema); err != nil {
			return "", err
		}
	}
	values := []any{e.shards, at.Database, visibility, net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))), at.User, temporalConns}
	var frontend int
	for i := range 8 {
		port, err := rig.FreePort()
		if err != nil {
			return "", err
		}
		if i == 0 {
			frontend = port
		}
		values = append(values, port)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(frontend)), e.launch("temporal-server", func(dir string) ([]string, error) {
		config, dynamic := filepath.Join(dir, "temporal.yaml"), filepath.Join(dir, "dynamic.yaml")
		return []string{"TEMPORAL_SERVER_CONFIG_FILE_PATH=" + config, "TEMPORAL_ALLOW_NO_AUTH=true"}, errors.Join(
			os.WriteFile(config, fmt.Appendf(nil, temporalConfig, append(values, dynamic)...), 0o600),
			os.WriteFile(dynamic, fmt.Appendf(nil, temporalDynamic, e.partitions), 0o600),
		)
	}, "start")
}

// temporalTables makes the tables of one of its databases with its own tool, unless an earlier turn did.
func temporalTables(ctx context.Context, at *pgx.ConnConfig, name, schema string) error {
	config := at.Copy()
	config.Database = name
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&there); err != nil || there {
		return err
	}
	tool, err := built("temporal-sql-tool")
	if err != nil {
		return err
	}
	for _, task := range [][]string{{"setup-schema", "-v", "0.0"}, {"update-schema", "--schema-name", path.Join("postgresql/v12", schema)}} {
		args := append([]string{"--plugin", "postgres12_pgx", "--ep", at.Host, "--port", strconv.Itoa(int(at.Port)), "--user", at.User, "--db", name}, task...)
		if out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("temporal-sql-tool %s: %w\n%s", task[0], err, out)
		}
	}
	return nil
}

// temporalNamespace makes the namespace of the sagas, unless an earlier turn did.
func temporalNamespace(ctx context.Context, options client.Options) error {
	spaces, err := client.NewNamespaceClient(options)
	if err != nil {
		return err
	}
	defer spaces.Close()
	err = spaces.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: temporalSpace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if there := (*serviceerror.NamespaceAlreadyExists)(nil); errors.As(err, &there) {
		return nil
	}
	return err
}
