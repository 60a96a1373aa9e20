package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
	"vnetlab/lab/supervisor"
)

func (a *app) up() *cobra.Command {
	var withPrograms, foreground bool
	cmd := &cobra.Command{
		Use:   "up FILE|SCENARIO",
		Short: "Start a lab and return when it is ready",
		Long: `Start a lab and return when everything in it listens. The lab keeps running until lab
down; with --foreground it ends with this command, by Ctrl-C.`,
		Example: `  sudo lab up sql-vnet
  sudo lab up first.yaml --foreground`,
		Args:              want(1, 1, "a lab file or the name of a scenario"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			lab, summary, err := a.start(cmd, args[0], supervisor.UpRequest{Real: withPrograms, Foreground: foreground})
			if err != nil {
				return err
			}
			if a.format == jsonFormat {
				err = a.stdout.json(upAnswer{summary.Summary, notesOf(lab.Notes)})
			} else {
				a.stdout.printf("%s\n", a.built(summary))
			}
			if err != nil || !foreground {
				return err
			}
			a.stderr.printf("%s\n", a.stderr.faint("Ctrl-C ends the lab"))
			if err := lab.Wait(cmd.Context()); err != nil {
				return err
			}
			if cmd.Context().Err() != nil {
				return byCtrlC
			}
			return nil
		},
	}
	realFlag(cmd, &withPrograms)
	cmd.Flags().BoolVar(&foreground, "foreground", false, "end the lab when this command ends")
	return a.answers(cmd)
}

// upAnswer is a lab that was started, with the notes on its file.
type upAnswer struct {
	api.Summary
	Notes []note `json:"notes"`
}

// started is a lab that was just built.
type started struct {
	api.Summary
	took time.Duration
}

// start starts the lab of a file or scenario and shows the progress.
func (a *app) start(cmd *cobra.Command, arg string, request supervisor.UpRequest) (*supervisor.Running, started,
	error,
) {
	if err := needRoot(cmd, "it makes network namespaces"); err != nil {
		return nil, started{}, err
	}
	file, err := a.labFile(cmd.Context(), arg)
	if err != nil {
		return nil, started{}, err
	}
	p := a.progress(arg)
	defer p.clear()
	request.File, request.Report, request.Output = file, p.report, a.stderr
	began := time.Now()
	lab, err := supervisor.Up(cmd.Context(), request)
	if err != nil {
		p.clear()
		return nil, started{}, a.lacking(cmd.Context(), err)
	}
	took := time.Since(began)
	p.clear()
	a.printNotes(lab.Notes)
	summary, err := summaryOf(cmd.Context(), lab)
	return lab, started{summary, took}, err
}

// lacking adds to the error of a lab that didn't start what the machine lacks, if that can be the reason.
func (a *app) lacking(ctx context.Context, err error) error {
	var invalid labfile.Errors
	var told *api.Error
	if ctx.Err() != nil || errors.As(err, &invalid) || errors.As(err, &told) && told.Lacking {
		return err
	}
	if hint := supervisor.LimitHint(err); hint != "" {
		return &failure{status: exitPrivileges, code: "LimitReached", message: err.Error(), hint: hint, err: err}
	}
	for _, f := range supervisor.Check(ctx) {
		if f.Required && !f.OK {
			return &failure{
				status: exitPrivileges, code: "FeatureMissing", err: err,
				message: fmt.Sprintf("this machine lacks %s (%s): %v", f.Name, f.Detail, err),
				hint:    f.Remedy + "; lab doctor has details",
			}
		}
	}
	return err
}

func summaryOf(ctx context.Context, lab *supervisor.Running) (api.Summary, error) {
	client, err := lab.Client()
	if err != nil {
		return api.Summary{}, err
	}
	return client.Summary(ctx)
}

// built returns a line on what was built.
func (a *app) built(s started) string {
	return fmt.Sprintf("%s: %s, %s, %s in %s", a.stdout.bold(s.Name), spelling.Count(s.Namespaces, "namespace"),
		spelling.Count(s.Links, "link"),
		spelling.Count(s.Services, "service"), seconds(s.took))
}

func seconds(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
