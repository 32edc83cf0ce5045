package kubelet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// API is a Kubernetes API server.
type API struct {
	URL    string
	Token  string
	Client *http.Client
}

var errNotFound = errors.New("not found")

// send makes a request, and returns what was answered; the caller closes it.
func (a API) send(ctx context.Context, method, path, contentType string, body any) (io.ReadCloser, error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.URL+path, in)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+a.Token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := a.Client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // it only explains
	err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	if resp.StatusCode == http.StatusNotFound {
		err = errors.Join(errNotFound, err)
	}
	return nil, err
}

func (a API) get(ctx context.Context, path string, into any) error {
	body, err := a.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return json.NewDecoder(body).Decode(into)
}

// patchStatus merges a status into that of an object: conditions by their type.
func (a API) patchStatus(ctx context.Context, path string, status object) error {
	body, err := a.send(ctx, http.MethodPatch, path+"/status", "application/strategic-merge-patch+json", object{"status": status})
	return done(body, err)
}

// remove deletes a pod whose process has ended.
func (a API) remove(ctx context.Context, path, uid string) error {
	body, err := a.send(ctx, http.MethodDelete, path, "application/json",
		object{"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": object{"uid": uid}})
	return done(body, err)
}

// done reads an answer that nobody looks into: a connection is used again only when its answer has been read.
func done(body io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

// watch calls see with every pod of a namespace, and again whenever one has changed, until the server ends it.
func (a API) watch(ctx context.Context, namespace string, see func(kind string, p pod)) error {
	body, err := a.send(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods?watch=true&resourceVersion=0", "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	for events := json.NewDecoder(body); ; {
		var e struct {
			Type   string
			Object pod
		}
		if err := events.Decode(&e); err != nil {
			return err
		}
		see(e.Type, e.Object)
	}
}
