// Package kubelet runs the pods of a cluster under test as processes of this machine. It takes the place of the kubelet and of a container engine: it
// watches the pods that are bound to its nodes, runs init containers to their end and then the container, asks the probes, restarts what ends, and
// ends a pod as the manifest says: preStop, SIGTERM, the grace period, SIGKILL.
//
// What a container would be kept apart by is played: instead of an image there is a program of this machine, instead of a network namespace an
// address of its own (an argument that listens on all addresses, `--flag=:PORT`, is given that one), instead of a mounted Secret a folder
// (arguments that begin with the mount's path are given the folder's), which is written once. Run as root, processes get the user and the group
// that the manifest says. Network policies, seccomp, capabilities, resource limits and the read-only root are not played.
//
// A pod that needs a second container, a command, or another kind of probe, hook, volume or variable than the manifests of this project waits
// with the reason in its status, instead of being run in another way than it says.
package kubelet
