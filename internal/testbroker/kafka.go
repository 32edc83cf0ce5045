package testbroker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka starts a fake of a Kafka cluster within the process, which makes topics of three partitions when they are first used. It keeps nothing: Stop is for
// the end of a test, and there is no Start after it.
func Kafka(t testing.TB) *Server {
	t.Helper()
	var cluster *kfake.Cluster
	s := &Server{}
	s.start = func() error {
		var err error
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3))
		if err == nil {
			s.URL = "kafka://" + strings.Join(cluster.ListenAddrs(), ",")
		}
		return err
	}
	s.stop = func() { cluster.Close() }
	return launch(t, s)
}
