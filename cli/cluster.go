package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

func clusterCommand() *cobra.Command {
	var asJSON, leases bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show who shares a store: members, what they host, their shards and heartbeats",
		Long: "Show who shares a store, as its tables say: the members that are alive, and those that were within the last hour, with their binary's version, what " +
			"they host, how many shards are leased to them, and the age of their last heartbeat by the database's clock.",
		Args: cobra.NoArgs,
	}
	store := storeFlag(cmd)
	cmd.Flags().BoolVar(&leases, "leases", false, "list the shards too: whose they are, and since when")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object: the members and every shard")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		i, err := sagaz.Inspect(cmd.Context(), *store)
		if err != nil {
			return err
		}
		defer func() { _ = i.Close() }() // it was only read
		c, err := i.Cluster(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
		}
		return printCluster(cmd.OutOrStdout(), c, leases)
	}
	return cmd
}

func printCluster(out io.Writer, c *sagaz.ClusterInfo, leases bool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tADDRESS\tHOSTS\tSHARDS\tHEARTBEAT\tJOINED\tVERSION\tNAME")
	for _, m := range c.Members {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s ago\t%s\t%s\t%s\n", m.ID, stateOf(m), orDash(m.Address), hosts(m.Kinds), m.Shards,
			m.HeartbeatAge.Round(time.Millisecond), dateTime(m.JoinedAt), orDash(m.Version), m.Name)
	}
	free := 0
	for _, s := range c.Shards {
		if s.Member == 0 {
			free++
		}
	}
	if leases {
		fmt.Fprintln(w, "\nSHARD\tMEMBER\tCLAIMED")
		for _, s := range c.Shards {
			fmt.Fprintf(w, "%d\t%d\t%s\n", s.Shard, s.Member, dateTime(s.ClaimedAt))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d shards, %d of them nobody's\n", len(c.Shards), free)
	return err
}

func stateOf(m sagaz.MemberInfo) string {
	switch {
	case !m.Alive:
		return "dead"
	case m.Draining:
		return "draining"
	}
	return "alive"
}

// hosts shortens kinds: a participant goes by its name, whoever takes shards hosts sagas.
func hosts(kinds []string) string {
	var names []string
	for _, k := range kinds {
		if k == "sagaz.shard" {
			k = "sagas"
		}
		names = append(names, strings.TrimPrefix(k, "sagaz.participant/"))
	}
	return orDash(strings.Join(names, ","))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
