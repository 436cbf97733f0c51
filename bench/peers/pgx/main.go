// pgxpeer does the work of pgstate_bench the way a Go program does it: a pgxpool, one statement for each operation, and
// pgx's own defaults. It measures in the same way and prints the same line of JSON. The table must be there and filled:
// pgstate_bench --fill-only.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const pageLimit = 100

type options struct {
	url, table, op, indexes string
	callers, conns          int
	agents, sessions        int
	stateBytes              int
	seconds, warmup         float64
	seed                    uint64
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.url, "url", os.Getenv("DATABASE_URL"), "connection string; default: DATABASE_URL")
	flag.StringVar(&o.table, "table", "bench_states", "the table, which must be there and filled")
	flag.StringVar(&o.op, "op", "load", "load, save, list, erase: erases, then saves back, two operations; or append: each\n"+
		"caller adds messages to a session of its own, agent-0, agent-1, ..., session-0, in a table with histories in rows")
	flag.StringVar(&o.indexes, "indexes", "standard", "the table's indexes; only reported")
	flag.IntVar(&o.callers, "callers", 64, "operations under way at once: goroutines")
	flag.IntVar(&o.conns, "conns", 4, "connections")
	flag.IntVar(&o.agents, "agents", 1000, "agents in the table: agent-0, agent-1, ...")
	flag.IntVar(&o.sessions, "sessions", 100, "sessions of each agent: session-0, session-1, ...")
	flag.IntVar(&o.stateBytes, "state-bytes", 600, "about the size of the table's documents; only reported")
	flag.Float64Var(&o.seconds, "seconds", 5, "how long to measure")
	flag.Float64Var(&o.warmup, "warmup", 0.5, "how long to run before")
	flag.Uint64Var(&o.seed, "seed", 1, "of the random choices")
	flag.Parse()

	switch {
	case flag.NArg() != 0:
		return o, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.url == "":
		return o, errors.New("no --url and no DATABASE_URL")
	case !slices.Contains([]string{"load", "save", "list", "erase", "append"}, o.op):
		return o, fmt.Errorf("unknown --op %q", o.op)
	case o.callers < 1 || o.conns < 1 || o.agents < 1 || o.sessions < 1 || o.seconds <= 0 || o.warmup < 0:
		return o, errors.New("--callers, --conns, --agents, --sessions and --seconds must be positive")
	}
	return o, nil
}

// The Go SDK's document.
type message struct {
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	Timestamp time.Time `json:"timestamp"`
}

type agentState struct {
	AgentID   string         `json:"agent_id"`
	SessionID string         `json:"session_id"`
	Version   int            `json:"version"`
	Data      map[string]any `json:"data"`
	History   []message      `json:"history"`
	Context   map[string]any `json:"context"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// store is what all callers share.
type store struct {
	pool                                *pgxpool.Pool
	loadSQL, saveSQL, listSQL, eraseSQL string
	appendSQL                           string
	content                             string // of each saved state's message, or of each that is appended
}

func open(ctx context.Context, o options) (*store, error) {
	config, err := pgxpool.ParseConfig(o.url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(o.conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	table := pgx.Identifier(strings.Split(o.table, ".")).Sanitize()
	s := &store{
		pool:    pool,
		loadSQL: "SELECT state FROM " + table + " WHERE agent_id = $1 AND session_id = $2",
		saveSQL: "INSERT INTO " + table + " (agent_id, session_id, state, created_at, updated_at)" +
			" VALUES ($1, $2, $3, NOW(), NOW())" +
			" ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state, updated_at = NOW()",
		listSQL: "SELECT session_id, created_at, updated_at FROM " + table +
			" WHERE agent_id = $1 ORDER BY updated_at DESC LIMIT " + strconv.Itoa(pageLimit),
		eraseSQL: "DELETE FROM " + table + " WHERE agent_id = $1 AND session_id = $2",
	}
	messages := pgx.Identifier(strings.Split(o.table+"_messages", ".")).Sanitize()
	s.appendSQL = "WITH s AS (UPDATE " + table + " SET messages = messages + 1, updated_at = NOW(), version = DEFAULT" +
		" WHERE agent_id = $1 AND session_id = $2 RETURNING epoch, messages)" +
		" INSERT INTO " + messages + " (agent_id, session_id, epoch, seq, message)" +
		" SELECT $1, $2, s.epoch, s.messages - 1, $3 FROM s"
	example := "SELECT state #>> '{history,0,content}' FROM " + table + " LIMIT 1"
	if o.op == "append" {
		example = "SELECT message ->> 'content' FROM " + messages + " LIMIT 1"
	}
	if err := s.prepare(ctx, table, example); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

func (s *store) prepare(ctx context.Context, table, example string) error {
	// The message that is in the table, so that both programs' states have one size and compress alike.
	if err := s.pool.QueryRow(ctx, example).Scan(&s.content); err != nil {
		return fmt.Errorf("no state of pgstate_bench's in %s: %w", table, err)
	}

	// Each is held until all are, so that all are open.
	for range s.pool.Config().MaxConns {
		connection, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer connection.Release()
	}
	return nil
}

func (s *store) load(ctx context.Context, agent, session string) error {
	var document []byte
	if err := s.pool.QueryRow(ctx, s.loadSQL, agent, session).Scan(&document); err != nil {
		return err
	}
	var state agentState
	return json.Unmarshal(document, &state)
}

func (s *store) save(ctx context.Context, agent, session string, step int) error {
	now := time.Now()
	document, err := json.Marshal(&agentState{
		AgentID:   agent,
		SessionID: session,
		Version:   1,
		Data:      map[string]any{"step": step},
		History:   []message{{Role: "user", Content: s.content, Timestamp: now}},
		Context:   map[string]any{"user": "john", "step": 1},
		CreatedAt: now,
		UpdatedAt: now,
	})
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, s.saveSQL, agent, session, document)
	return err
}

func (s *store) append(ctx context.Context, agent, session string) error {
	document, err := json.Marshal(&message{Role: "user", Content: s.content, Timestamp: time.Now()})
	if err != nil {
		return err
	}
	done, err := s.pool.Exec(ctx, s.appendSQL, agent, session, document)
	if err == nil && done.RowsAffected() != 1 {
		err = fmt.Errorf("append: %s, %s is not there", agent, session)
	}
	return err
}

func (s *store) erase(ctx context.Context, agent, session string) error {
	_, err := s.pool.Exec(ctx, s.eraseSQL, agent, session)
	return err
}

type listed struct {
	sessionID            string
	createdAt, updatedAt time.Time
}

func (s *store) list(ctx context.Context, agent string) error {
	rows, err := s.pool.Query(ctx, s.listSQL, agent)
	if err != nil {
		return err
	}
	defer rows.Close()
	page := make([]listed, 0, pageLimit)
	for rows.Next() {
		var each listed
		if err := rows.Scan(&each.sessionID, &each.createdAt, &each.updatedAt); err != nil {
			return err
		}
		page = append(page, each)
	}
	return rows.Err()
}

// outcome is what was seen in a phase, by one caller or by all.
type outcome struct {
	latencies  []time.Duration
	errors     int
	firstError error
	elapsed    time.Duration
}

func (o *outcome) add(other outcome) {
	o.latencies = append(o.latencies, other.latencies...)
	o.errors += other.errors
	if o.firstError == nil {
		o.firstError = other.firstError
	}
}

func (o *outcome) time(operation func() error) {
	began := time.Now()
	if err := operation(); err != nil {
		o.add(outcome{errors: 1, firstError: err})
		return
	}
	o.latencies = append(o.latencies, time.Since(began))
}

// call is one caller: an operation after the other until the deadline.
func call(ctx context.Context, o options, s *store, caller int, random *rand.Rand, deadline time.Time) outcome {
	var seen outcome
	for time.Now().Before(deadline) {
		agent := "agent-" + strconv.Itoa(random.IntN(o.agents))
		session := "session-" + strconv.Itoa(random.IntN(o.sessions))
		switch o.op {
		case "append":
			own := "agent-" + strconv.Itoa(caller)
			seen.time(func() error { return s.append(ctx, own, "session-0") })
		case "load":
			seen.time(func() error { return s.load(ctx, agent, session) })
		case "list":
			seen.time(func() error { return s.list(ctx, agent) })
		case "erase":
			seen.time(func() error { return s.erase(ctx, agent, session) })
			fallthrough
		case "save":
			seen.time(func() error { return s.save(ctx, agent, session, random.IntN(1000)) })
		}
	}
	return seen
}

// runPhase lets all callers work for a time. As in pgstate_bench it lasts until the last operation has ended.
func runPhase(ctx context.Context, o options, s *store, number uint64, seconds float64) []outcome {
	each := make([]outcome, o.callers)
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var working sync.WaitGroup
	for i := range each {
		random := rand.New(rand.NewPCG(o.seed, number<<32|uint64(i)))
		working.Go(func() { each[i] = call(ctx, o, s, i, random, deadline) })
	}
	working.Wait()
	return each
}

// peakMemory is the most memory that was ever resident, in MB.
func peakMemory() float64 {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, _ := strconv.ParseFloat(fields[1], 64)
			return kilobytes / 1024
		}
	}
	return 0
}

// fixed is a number with three decimals in JSON.
type fixed float64

func (f fixed) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(f), 'f', 3, 64), nil
}

type report struct {
	Op         string `json:"op"`
	Mode       string `json:"mode"`
	Callers    int    `json:"callers"`
	Threads    int    `json:"threads"`
	Conns      int    `json:"conns"`
	Indexes    string `json:"indexes"`
	StateBytes int    `json:"state_bytes"`
	Seconds    fixed  `json:"seconds"`
	Operations int    `json:"operations"`
	Errors     int    `json:"errors"`
	OpsPerS    int    `json:"ops_per_s"`
	P50        fixed  `json:"p50_ms"`
	P90        fixed  `json:"p90_ms"`
	P99        fixed  `json:"p99_ms"`
	P999       fixed  `json:"p999_ms"`
	Max        fixed  `json:"max_ms"`
	Statements int    `json:"statements"`
	MeanBatch  fixed  `json:"mean_batch"`
	RSS        fixed  `json:"rss_mb"`
}

func reportOf(o options, seen outcome, memory float64) report {
	count := len(seen.latencies)
	slices.Sort(seen.latencies)
	quantile := func(q float64) fixed {
		if count == 0 {
			return 0
		}
		return fixed(seen.latencies[min(int(q*float64(count)), count-1)].Seconds() * 1e3)
	}
	return report{
		Op: o.op, Mode: "pgx", Callers: o.callers, Threads: runtime.GOMAXPROCS(0), Conns: o.conns,
		Indexes: o.indexes, StateBytes: o.stateBytes,
		Seconds: fixed(seen.elapsed.Seconds()), Operations: count, Errors: seen.errors,
		OpsPerS: int(float64(count)/seen.elapsed.Seconds() + 0.5),
		P50:     quantile(.5), P90: quantile(.9), P99: quantile(.99), P999: quantile(.999), Max: quantile(1),
		Statements: count, MeanBatch: 1, RSS: fixed(memory),
	}
}

func run() error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer s.pool.Close()

	runPhase(ctx, o, s, 0, o.warmup)
	began := time.Now()
	each := runPhase(ctx, o, s, 1, o.seconds)
	all := outcome{elapsed: time.Since(began)}
	memory := peakMemory() // before the latencies are gathered, which the work itself does not need
	for _, one := range each {
		all.add(one)
	}
	if err := json.NewEncoder(os.Stdout).Encode(reportOf(o, all, memory)); err != nil {
		return err
	}
	if all.errors > 0 {
		return fmt.Errorf("%d operations failed, the first with: %w", all.errors, all.firstError)
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pgxpeer:", err)
		os.Exit(1)
	}
}
