// Command schemas writes k8s/schemas: a JSON schema for each kind that the manifests use, and no other, for kubeconform.
// Run it with `make k8s-schemas` after raising a version below or using a new kind.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where the schemas come from. The modules are only read, never compiled, and add nothing to go.mod.
const (
	kubernetes         = "k8s.io/kubernetes@v1.37.2"
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	keda               = "github.com/kedacore/keda/v2@v2.21.0"
)

// kinds are those of Kubernetes itself, by their definition in its OpenAPI document.
var kinds = []string{
	"io.k8s.api.core.v1.Namespace",
	"io.k8s.api.core.v1.ServiceAccount",
	"io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.core.v1.Secret",
	"io.k8s.api.core.v1.Service",
	"io.k8s.api.apps.v1.Deployment",
	"io.k8s.api.apps.v1.StatefulSet",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	"io.k8s.api.policy.v1.PodDisruptionBudget",
	"io.k8s.api.networking.v1.NetworkPolicy",
}

// customResources are files with a definition of a custom resource, by module.
var customResources = map[string][]string{
	prometheusOperator: {
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	},
	keda: {"config/crd/bases/keda.sh_scaledobjects.yaml"},
}

type object = map[string]any

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: schemas DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	if err := builtIn(dir); err != nil {
		return err
	}
	for module, files := range customResources {
		root, err := download(module)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := custom(dir, filepath.Join(root, file)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// download brings a module and returns the folder that it lies in.
func download(module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module) //nolint:noctx // a command for developers, ended with Ctrl-C
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	var at struct{ Dir string }
	return at.Dir, json.Unmarshal(out, &at)
}

func builtIn(dir string) error {
	root, err := download(kubernetes)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(root, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return err
	}
	var document struct{ Definitions map[string]object }
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	for name, d := range document.Definitions {
		document.Definitions[name] = strict(d, true).(object)
	}
	document.Definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = object{"type": []string{"string", "integer"}}
	document.Definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = object{"type": []string{"string", "number"}}
	for _, name := range kinds {
		if err := write(dir, name[strings.LastIndex(name, ".")+1:], alone(name, document.Definitions)); err != nil {
			return err
		}
	}
	return nil
}

// alone returns a schema that holds all the definitions it refers to.
func alone(name string, all map[string]object) object {
	used := object{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, "#/definitions/")
				if _, seen := used[name]; !seen {
					used[name] = all[name]
					visit(all[name])
				}
			}
			for _, child := range v {
				visit(child)
			}
		case []any:
			for _, child := range v {
				visit(child)
			}
		}
	}
	visit(all[name])
	schema := object{"definitions": used}
	for k, v := range all[name] {
		schema[k] = v
	}
	// An object of the kind says so: a manifest without them is no manifest.
	schema["required"] = []string{"apiVersion", "kind", "metadata"}
	return schema
}

func custom(dir, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var definition struct {
		Spec struct {
			Names    struct{ Kind string }
			Versions []struct {
				Storage bool
				Schema  struct {
					OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(raw, &definition); err != nil {
		return err
	}
	for _, v := range definition.Spec.Versions {
		if v.Storage {
			return write(dir, definition.Spec.Names.Kind, strict(v.Schema.OpenAPIV3Schema, true).(object))
		}
	}
	return fmt.Errorf("no version of %s is stored", definition.Spec.Names.Kind)
}

// strict returns a schema without prose and extensions, in which an object with named properties has no others: a typo is an error.
// isSchema is false inside "properties", whose keys are names.
func strict(v any, isSchema bool) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, child := range v {
			list[i] = strict(child, true)
		}
		return list
	case object:
		out := object{}
		for k, child := range v {
			if isSchema && (k == "description" || k == "example" || strings.HasPrefix(k, "x-kubernetes-")) {
				continue
			}
			out[k] = strict(child, !isSchema || k != "properties")
		}
		if !isSchema {
			return out
		}
		if v["x-kubernetes-int-or-string"] == true {
			delete(out, "anyOf")
			out["type"] = []string{"string", "integer"}
		}
		_, named := out["properties"]
		_, open := out["additionalProperties"]
		if named && !open && v["x-kubernetes-preserve-unknown-fields"] != true {
			out["additionalProperties"] = false
		}
		return out
	}
	return v
}

func write(dir, kind string, schema object) error {
	raw, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, strings.ToLower(kind)+".json"), append(raw, '\n'), 0o644)
}
