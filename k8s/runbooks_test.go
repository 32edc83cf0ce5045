package k8s

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/transport"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// blocks returns the commands of a page, block by block.
func blocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var all []string
	for _, m := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// asksANode says whether every command of a block is one that a node or its store answers.
func asksANode(block string) bool {
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, "sagaz ") && !strings.HasPrefix(line, "psql ") && !strings.HasPrefix(line, "curl ") {
			return false
		}
	}
	return true
}

func pagesWithCommands(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	return append(pages, "../docs/kubernetes.md")
}

// operatorsShell is a shell in which sagaz and psql find the node and its store.
func operatorsShell(t *testing.T, node *sagaz.Node, dsn string) func(block string) string {
	t.Helper()
	bin := filepath.Dir(buildProgram(t))
	return func(block string) string {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", block)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SAGAZ_API=http://"+node.APIAddr(), "SAGAZ_STORE="+dsn)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", block, out)
		return string(out)
	}
}

// The commands run as they are printed, with the real program, against a node on Postgres with orders that are stuck and undone.
func TestTheRunbooksCommandsWork(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	node := openNode(t, sagaz.Config{Store: dsn, Publisher: strict{}, Events: sagaz.Events{Types: []string{"saga.stuck"}}})
	shell := operatorsShell(t, node, dsn)
	repairs(t, node, shell)
	buries(t, dsn, shell)
	startOrder(t, node, "order-41", false, sagaz.Compensated)
	ran := 0
	for _, page := range pagesWithCommands(t) {
		for i, block := range blocks(t, page) {
			if !asksANode(block) {
				continue
			}
			// A decision can be made about a saga once: each block has an order-42 of its own.
			id := fmt.Sprintf("order-42-%s-%d", strings.TrimSuffix(filepath.Base(page), ".md"), i)
			if strings.Contains(block, "order-42") {
				startOrder(t, node, id, true, sagaz.Stuck)
				block = strings.ReplaceAll(block, "order-42", id)
			}
			if strings.Contains(block, "4711") {
				startOrder(t, node, "dead-"+id, true, sagaz.Stuck)
				block = strings.ReplaceAll(block, "4711", deadLetter(t, dsn, "dead-"+id))
			}
			shell(block)
			ran++
		}
	}
	require.NotZero(t, ran)
}

// repairs finds a stuck saga and repairs it by following the page alone.
func repairs(t *testing.T, node *sagaz.Node, shell func(string) string) {
	t.Helper()
	startOrder(t, node, "order-42", true, sagaz.Stuck)
	commands := blocks(t, "../docs/runbooks/SagazSagasStuck.md")
	looked := shell(commands[0])
	require.Regexp(t, `order-42 +order\.fulfil v1 +stuck`, looked)
	require.Contains(t, looked, "the reservation is in another warehouse", "the page leads to the reason")
	skip := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, "sagaz skip ") })
	shell(commands[skip])
	info, err := node.Get(t.Context(), "order-42")
	require.NoError(t, err)
	require.Equal(t, sagaz.Compensated, info.Status)
	over := commands[len(commands)-1]
	require.Eventually(t, func() bool { return !strings.Contains(shell(over), "order-42") }, patience, again, "the page says how to know that it is over")
}

// strict is a broker that refuses everything for good.
type strict struct{}

func (strict) Publish(string, ...*message.Message) error {
	return transport.Refuse(errors.New("larger than the broker takes"))
}

// deadLetter waits for the dead message that tells of a saga, and returns its id as operators type it.
func deadLetter(t *testing.T, dsn, saga string) (id string) {
	t.Helper()
	outbox, err := sagaz.OpenOutbox(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, outbox.Close()) }()
	require.Eventually(t, func() bool {
		dead, err := outbox.Dead(t.Context(), 0, 100)
		require.NoError(t, err)
		at := slices.IndexFunc(dead, func(d sagaz.DeadMessage) bool { return d.Event.Subject == saga })
		if at < 0 {
			return false
		}
		id = strconv.FormatInt(dead[at].ID, 10)
		return true
	}, patience, again, saga)
	return id
}

// buries finds a message that the broker refused, and does away with it, by following the page alone. The saga is the one of repairs.
func buries(t *testing.T, dsn string, shell func(string) string) {
	t.Helper()
	id := deadLetter(t, dsn, "order-42")
	commands := blocks(t, "../docs/runbooks/SagazOutboxDeadLetters.md")
	looked := shell(commands[0])
	require.Regexp(t, "(?m)^"+id+" .* order-42 +.*larger than the broker takes", looked)
	by := func(verb string) string {
		at := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, "sagaz dead "+verb+" ") })
		return strings.ReplaceAll(commands[at], "4711", id)
	}
	require.Contains(t, shell(by("show")), `"subject": "order-42"`)
	require.Contains(t, shell(by("retry")), "1 of 1 put back")
	id = deadLetter(t, dsn, "order-42") // it is refused again: the cause is still there
	require.Contains(t, shell(by("discard")), "1 of 1 discarded")
	require.NotContains(t, shell(commands[len(commands)-1]), "order-42", "the page says how to know that it is over")
}
