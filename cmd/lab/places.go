package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// places shows where in its files something of a lab comes from, without the folder that all of them are in.
type places struct{ dir string }

// places of a running lab; of one that has just ended they are shown in full.
func (a *app) places(ctx context.Context, c *client.Client) places {
	s, err := c.Summary(ctx)
	if err != nil {
		return places{}
	}
	return placesOf(s)
}

func placesOf(s api.Summary) places { return places{filepath.Dir(s.File)} }

// short takes the folder off the places in a text.
func (p places) short(text string) string {
	if p.dir == "" || p.dir == "/" {
		return text
	}
	return strings.ReplaceAll(text, p.dir+"/", "")
}

// line gives a place as file:line.
func (p places) line(o emu.Origin) string {
	o.Column = 0
	return p.short(o.String())
}

// rule gives a rule with its namespace and place.
func (p places) rule(r emu.RuleReference) string {
	text := r.Text
	if text == "" {
		text = r.ID
	}
	text = fmt.Sprintf("by %s: %s", r.Namespace, text)
	if !r.Origin.IsZero() {
		text += " (" + p.line(r.Origin) + ")"
	}
	return text
}
