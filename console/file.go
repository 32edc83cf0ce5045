package console

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// maxFileBytes bounds what is read of a file of tokens or of a certificate.
const maxFileBytes = 1 << 20

// file is what a file says, read again when the file, or the one that belongs to it, has changed. While a new content is wrong, or missing, the last good
// one stays.
type file[T any] struct {
	path   string
	beside string // a file that parse reads too; empty: none
	logger *slog.Logger
	parse  func([]byte) (T, error)

	mu    sync.Mutex
	seen  [2]stamp
	value T
}

// stamp tells one content of a file from another without reading it.
type stamp struct {
	modified time.Time
	size     int64
	problem  string
}

func newFile[T any](path, beside string, logger *slog.Logger, parse func([]byte) (T, error)) (*file[T], error) {
	f := &file[T]{path: path, beside: beside, logger: logger, parse: parse}
	f.seen = f.stamps()
	value, err := f.read()
	if err != nil {
		return nil, err
	}
	f.value = value
	return f, nil
}

// get asks the file system each time: the API is not a hot path, and a token that was taken away must not work a moment longer.
func (f *file[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.stamps()
	if now == f.seen {
		return f.value
	}
	f.seen = now
	value, err := f.read()
	if err != nil {
		f.logger.Error("the API goes on with what the file said before", "file", f.path, "error", err)
		return f.value
	}
	f.value = value
	return f.value
}

func (f *file[T]) stamps() (seen [2]stamp) {
	seen[0] = stampOf(f.path)
	if f.beside != "" {
		seen[1] = stampOf(f.beside)
	}
	return seen
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{problem: err.Error()}
	}
	return stamp{modified: info.ModTime(), size: info.Size()}
}

func (f *file[T]) read() (value T, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return value, err
	}
	if info.Size() > maxFileBytes {
		return value, fmt.Errorf("%s has %d bytes, the limit is %d", f.path, info.Size(), maxFileBytes)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return value, err
	}
	if value, err = f.parse(data); err != nil {
		return value, fmt.Errorf("%s: %w", f.path, err)
	}
	return value, nil
}
