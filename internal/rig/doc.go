// Package rig has what is needed to be unkind to real processes: programs that are started, heard, stopped and killed, and a TCP proxy that does what bad networks do.
package rig
