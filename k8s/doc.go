// Package k8s has no code: its tests hold the manifests against each other, and against what the program really has.
package k8s
