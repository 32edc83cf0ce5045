package kubelet

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// command resolves what a container is to run: its environment from the ConfigMap, the Secret and the pod, its arguments, and its volumes.
func (w *worker) command(ctx context.Context, c container) (command, error) {
	program, ok := w.k.cfg.Images[c.Image]
	if !ok {
		return command{}, fmt.Errorf("there is no image %s", c.Image)
	}
	if err := c.check(); err != nil {
		return command{}, err
	}
	env, err := w.environment(ctx, c)
	if err != nil {
		return command{}, err
	}
	args, err := w.arguments(ctx, c, env)
	if err != nil {
		return command{}, err
	}
	cmd := command{program: program, args: args, log: w.log(c)}
	for name, value := range env {
		cmd.env = append(cmd.env, name+"="+value)
	}
	if user, group := w.pod.Spec.SecurityContext.RunAsUser, w.pod.Spec.SecurityContext.RunAsGroup; user != nil && group != nil {
		cmd.uid, cmd.gid = *user, *group
	}
	return cmd, nil
}

func (w *worker) log(c container) string {
	return filepath.Join(w.k.cfg.Dir, w.pod.Metadata.Name+"."+c.Name+".log")
}

func (w *worker) environment(ctx context.Context, c container) (map[string]string, error) {
	env := map[string]string{"HOSTNAME": w.pod.Metadata.Name}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			return nil, fmt.Errorf("container %s: envFrom knows configMapRef alone", c.Name)
		}
		var m struct{ Data map[string]string }
		if err := w.k.cfg.API.get(ctx, w.path("configmaps", from.ConfigMapRef.Name), &m); err != nil {
			return nil, err
		}
		for name, value := range m.Data {
			env[name] = value
		}
	}
	for _, v := range c.Env {
		value := v.Value
		switch from := v.ValueFrom; {
		case from == nil:
		case from.SecretKeyRef != nil:
			secret, err := w.secret(ctx, from.SecretKeyRef.Name)
			if err != nil {
				return nil, err
			}
			text, ok := secret[from.SecretKeyRef.Key]
			if !ok {
				return nil, fmt.Errorf("the Secret %s has no key %s", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
			value = text
		case from.FieldRef != nil && from.FieldRef.FieldPath == "status.podIP":
			value = w.ip
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
			value = w.pod.Metadata.Name
		default:
			return nil, fmt.Errorf("container %s: where %s comes from is not known", c.Name, v.Name)
		}
		env[v.Name] = value
	}
	return env, nil
}

func (w *worker) secret(ctx context.Context, name string) (map[string]string, error) {
	var s struct{ Data map[string]string }
	if err := w.k.cfg.API.get(ctx, w.path("secrets", name), &s); err != nil {
		return nil, err
	}
	for key, text := range s.Data {
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the Secret %s: %s: %w", name, key, err)
		}
		s.Data[key] = string(plain)
	}
	return s.Data, nil
}

var (
	reference    = regexp.MustCompile(`\$\((\w+)\)`)
	allAddresses = regexp.MustCompile(`^(--[\w-]+=)(:\d+)$`)
)

func (w *worker) arguments(ctx context.Context, c container, env map[string]string) ([]string, error) {
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		dir, err := w.volume(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		mounts[m.MountPath] = dir
	}
	var args []string
	for _, arg := range c.Args {
		arg = reference.ReplaceAllStringFunc(arg, func(ref string) string {
			if value, ok := env[reference.FindStringSubmatch(ref)[1]]; ok {
				return value
			}
			return ref
		})
		arg = allAddresses.ReplaceAllString(arg, "${1}"+w.ip+"${2}")
		for path, dir := range mounts {
			arg = strings.ReplaceAll(arg, "="+path+"/", "="+dir+"/")
		}
		args = append(args, arg)
	}
	return args, nil
}

// volume writes a Secret into a folder, with the mode and the group that the manifest says.
func (w *worker) volume(ctx context.Context, name string) (string, error) {
	for _, v := range w.pod.Spec.Volumes {
		if v.Name != name {
			continue
		}
		if v.Secret == nil {
			return "", fmt.Errorf("volume %s: Secrets alone are known", name)
		}
		secret, err := w.secret(ctx, v.Secret.SecretName)
		if err != nil {
			return "", err
		}
		dir := filepath.Join(w.k.cfg.Dir, w.pod.Metadata.Name+"."+name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		mode := os.FileMode(0o644)
		if v.Secret.DefaultMode != nil {
			mode = os.FileMode(*v.Secret.DefaultMode)
		}
		for _, item := range v.Secret.Items {
			file := filepath.Join(dir, item.Path)
			_ = os.Remove(file) // of the container's last life
			if err := os.WriteFile(file, []byte(secret[item.Key]), mode); err != nil {
				return "", err
			}
			if group := w.pod.Spec.SecurityContext.FSGroup; group != nil && os.Geteuid() == 0 {
				if err := os.Chown(file, 0, *group); err != nil {
					return "", err
				}
			}
		}
		return dir, nil
	}
	return "", fmt.Errorf("there is no volume %s", name)
}

func (w *worker) path(kind, name string) string {
	return "/api/v1/namespaces/" + w.pod.Metadata.Namespace + "/" + kind + "/" + name
}
