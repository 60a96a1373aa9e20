package main

import (
	"errors"
	"testing"
)

// TestAdvice holds that what is advised can be typed by the user who gets it.
func TestAdvice(t *testing.T) {
	root := (&app{stdout: newOutput(nil), stderr: newOutput(nil), format: textFormat}).root()
	installed := map[string]string{"sudo": "/usr/bin/sudo", "lab": "/usr/local/bin/lab"}
	inClone := map[string]string{"sudo": "/usr/bin/sudo", "lab": "/home/me/vnetlab/bin/lab"}
	noSudo := map[string]string{"lab": "/usr/local/bin/lab"}
	for _, tt := range []struct {
		name     string
		arg0     string
		euid     int
		sudoUser string
		path     map[string]string
		text     string
		want     string
	}{
		{"user", "lab", 1000, "", installed, "lab up FILE", "sudo lab up FILE"},
		{
			"user, two commands", "lab", 1000, "", installed, "lab ls shows what is; lab up FILE starts one",
			"sudo lab ls shows what is; sudo lab up FILE starts one",
		},
		{
			"user, PATH that sudo doesn't have", "lab", 1000, "", inClone, "lab up FILE",
			"sudo /home/me/vnetlab/bin/lab up FILE",
		},
		{
			"user, no root needed", "lab", 1000, "", inClone, "lab scenarios NAME prints a lesson, sudo lab run NAME runs it",
			"lab scenarios NAME prints a lesson, sudo /home/me/vnetlab/bin/lab run NAME runs it",
		},
		{"user, by path", "./bin/lab", 1000, "", installed, "lab doctor tells more", "./bin/lab doctor tells more"},
		{"user, path with a space", "./my bin/lab", 1000, "", installed, "lab up FILE", "sudo './my bin/lab' up FILE"},
		{"sudo by path", "bin/lab", 0, "me", installed, "lab down x", "sudo bin/lab down x"},
		{"root without sudo", "bin/lab", 0, "", noSudo, "sudo lab down x", "bin/lab down x"},
		{
			"help of a verb", "lab", 1000, "", installed, "lab probe --help lists the flags",
			"lab probe --help lists the flags",
		},
		{
			"no command", "lab", 1000, "", installed, "the lab of that name, or another lab file",
			"the lab of that name, or another lab file",
		},
		{"twice", "lab", 1000, "", inClone, "sudo /home/me/vnetlab/bin/lab up FILE", "sudo /home/me/vnetlab/bin/lab up FILE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			look := func(name string) (string, error) {
				if path, ok := tt.path[name]; ok {
					return path, nil
				}
				return "", errors.New("not found")
			}
			if got := (environment{tt.arg0, tt.euid, tt.sudoUser, look}).invocation().
				advice(root, tt.text); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
