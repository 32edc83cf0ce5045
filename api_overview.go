package sagaz

import (
	"context"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Members implements console.Backend.
func (b backend) Members(ctx context.Context) ([]*sagazpb.MemberInfo, error) {
	rows, err := b.store.Members(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	leases, err := b.store.Leases(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	shards := map[int64]int32{}
	for _, l := range leases {
		shards[l.Member]++
	}
	members := make([]*sagazpb.MemberInfo, len(rows))
	for i, r := range rows {
		members[i] = &sagazpb.MemberInfo{
			Id: r.ID, Name: r.Name, Alive: r.Alive, JoinedAt: timestamp(r.JoinedAt), HeartbeatAt: timestamp(r.HeartbeatAt), Shards: shards[r.ID],
		}
	}
	return members, nil
}

// Shards implements console.Backend.
func (b backend) Shards(ctx context.Context) ([]*sagazpb.ShardInfo, error) {
	leases, err := b.store.Leases(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	rt, shards := b.runtime.Load(), make([]*sagazpb.ShardInfo, len(leases))
	for i, l := range leases {
		shards[i] = &sagazpb.ShardInfo{Shard: int32(i), Member: l.Member, OpenHere: rt.Holds(i)}
	}
	return shards, nil
}

// Outbox implements console.Backend.
func (b backend) Outbox(ctx context.Context) (*sagazpb.OutboxResponse, error) {
	backlog, err := b.store.Backlog(ctx, nil)
	if err != nil {
		return nil, apiError(err)
	}
	resp := &sagazpb.OutboxResponse{}
	for _, l := range backlog {
		lane := &sagazpb.OutboxLane{Publisher: l.Publisher, Lane: int32(l.Lane), Messages: int64(l.Messages), OldestAt: timestamp(l.OldestAt)}
		resp.Lanes = append(resp.Lanes, lane)
		resp.Pending += lane.Messages
		if lane.OldestAt != nil && (resp.OldestAt == nil || lane.OldestAt.AsTime().Before(resp.OldestAt.AsTime())) {
			resp.OldestAt = lane.OldestAt
		}
	}
	return resp, nil
}

// DeadLetters implements console.Backend.
func (b backend) DeadLetters(ctx context.Context, limit int, before int64) (letters []*sagazpb.DeadLetter, next int64, err error) {
	dead, err := b.store.Dead(ctx, persistence.DeadQuery{Before: before, Limit: limit})
	if err != nil {
		return nil, 0, apiError(err)
	}
	for _, d := range dead {
		letters = append(letters, &sagazpb.DeadLetter{
			Id: d.ID, Publisher: d.Publisher, Lane: int32(d.Lane), Topic: d.Topic, Error: d.Error,
			EnqueuedAt: timestamp(d.EnqueuedAt), FailedAt: timestamp(d.FailedAt), Data: d.Data,
		})
	}
	if len(dead) == limit {
		next = dead[limit-1].ID
	}
	return letters, next, nil
}

// Audit implements console.Backend.
func (b backend) Audit(ctx context.Context, sagaID string, limit int, before int64) (entries []*sagazpb.AuditEntry, next int64, err error) {
	rows, err := b.Inspector.Audit(ctx, AuditOptions{SagaID: sagaID, Limit: limit, Before: before})
	if err != nil {
		return nil, 0, apiError(err)
	}
	for _, e := range rows {
		entries = append(entries, &sagazpb.AuditEntry{
			Id: e.ID, At: timestamp(e.At), By: e.By, Verb: e.Verb, SagaId: e.SagaID, Step: e.Step, Note: e.Note, Outcome: e.Outcome,
		})
	}
	if len(rows) == limit {
		next = rows[limit-1].ID
	}
	return entries, next, nil
}
