package supervisor

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
)

// addresses are compared as what they are.
var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// What is told about a name is the part of the whole that it is of.
func TestAbout(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	all, err := c.Lab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"db": "shopdata", "web2": "shopweb", "shopweb.web1": "shopweb", "shopweb": "shopweb", "shopdata.cloudapp.net": "shopdata", "laptop": "", "Net": "",
	} {
		about, err := c.About(t.Context(), name)
		if err != nil {
			t.Error(name, err)
			continue
		}
		whole := slices.DeleteFunc(
			slices.Clone(all.CloudServices),
			func(s api.CloudService) bool { return s.Name != want },
		)
		if diff := cmp.Diff(
			whole,
			about.CloudServices,
			cmpopts.IgnoreTypes(emu.ServiceStatus{}),
			addresses,
		); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// An endpoint is there while its deployment is deallocated, with everything but an address.
func TestEndpointsOfADeallocatedService(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	before, err := c.About(t.Context(), "shopweb")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web1", "web2"} {
		if _, err := c.Do(t.Context(), lab.ShutdownRoleOp{Service: "shopweb", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	after, err := c.About(t.Context(), "shopweb")
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.CloudServices[0].Endpoints, after.CloudServices[0].Endpoints
	if len(is) != 1 || is[0].Address.IsValid() || is[0].Members[0].Serving {
		t.Fatalf("%+v", is)
	}
	if diff := cmp.Diff(
		was,
		is,
		addresses,
		cmpopts.IgnoreFields(api.Endpoint{}, "Address"),
		cmpopts.IgnoreFields(api.Member{}, "Serving"),
	); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
