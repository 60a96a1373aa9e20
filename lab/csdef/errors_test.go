package csdef

import (
	"fmt"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	// each case changes the period example by one replacement
	for _, c := range []struct{ old, new, want string }{
		{`port="80"`, `prt="80"`, `s:4:16: <InputEndpoint> lacks the attribute "port"` + "\n" +
			`s:4:61: <InputEndpoint> has no attribute "prt"; did you mean "port"?`},
		{`port="80"`, `port="65536"`, `s:4:61: port is "65536", expected a number from 1 to 65535`},
		{`protocol="http"`, `protocol="any"`, `s:4:45: protocol is "any", expected http, https, tcp or udp`},
		{
			`protocol="http"`, `protocol="tcp"`,
			`s:2:3: web role "ContactManager.Web" has no input endpoint with the protocol http or https` + "\n" +
				`s:3:62: endpoint "HttpIn" has the protocol tcp, a site needs http or https`,
		},
		{
			`protocol="http"`, `protocol="HTTP"`,
			`s:4:45: protocol is "HTTP", expected http, https, tcp or udp; did you mean "http"?`,
		},
		{
			`protocol="http"`, `protocol="https"`,
			`s:4:16: endpoint "HttpIn" has the protocol https and needs a certificate`,
		},
		{`port="80"/>`, `port="80" certificate="c"/>`, `s:4:71: certificate "c" is not defined`},
		{
			`port="80"/>`, `port="80" localPort="x"/>`,
			`s:4:71: localPort is "x", expected a number from 1 to 65535 or *`,
		},
		{
			`port="80"/>`, `port="80" idleTimeoutInMinutes="3"/>`,
			`s:4:71: idleTimeoutInMinutes is "3", expected a number from 4 to 30`,
		},
		{
			`port="80"/>`, `port="80" loadBalancerDistribution="sourceip"/>`,
			`s:4:71: loadBalancerDistribution is "sourceip", expected none, sourceIP or sourceIPProtocol; did you ` +
				`mean "sourceIP"?`,
		},
		{`port="80"/>`, `port="80" loadBalancerProbe="p"/>`, `s:4:71: probe "p" is not defined`},
		{
			`port="80"/>`, `port="80"/><InputEndpoint name="httpin" protocol="tcp" port="80"/>`,
			`s:4:87: endpoint "httpin" exists already; the first is at line 4` + "\n" +
				`s:4:116: TCP port 80 is taken by endpoint "HttpIn" of role "ContactManager.Web" at line 4; give it ` +
				`another port`,
		},
		{
			`port="80"/>`, `port="80"/><InstanceInputEndpoint name="i" protocol="tcp" ` +
				`localPort="1"><AllocatePublicPortFrom><FixedPortRange min="70" ` +
				`max="90"/></AllocatePublicPortFrom></InstanceInputEndpoint>`,
			`s:4:72: the public ports 70 to 90 hold port 80, which is taken by endpoint "HttpIn" of role ` +
				`"ContactManager.Web" at line 4`,
		},
		{`port="80"/>`, `port="80"/><InternalEndpoint name="i" protocol="tcp"><FixedPortRange min="9" ` +
			`max="8"/></InternalEndpoint>`, `s:4:138: the range of ports from 9 to 8 is reversed`},
		{`port="80"/>`, `port="80"/><InternalEndpoint name="i" protocol="tcp"><FixedPort port="1"/><FixedPortRange ` +
			`min="1" max="8"/></InternalEndpoint>`, `s:4:135: endpoint "i" has both <FixedPort> and <FixedPortRange>`},
		{
			`endpointName="HttpIn"`, `endpointName="HttpsIn"`,
			`s:3:62: endpoint "HttpsIn" is not defined; did you mean "HttpIn"?`,
		},
		{`"ContactManager.Web"`, `"../etc"`, `s:2:12: role name "../etc" is not valid; up to 63 letters, digits, ` +
			`underscores, dots and hyphens are allowed, the last two not at its ends`},
		{
			`vmsize="Small"`, `vmsize="Tiny"`,
			`s:2:38: vmsize is "Tiny", expected ExtraSmall, Small, Medium, Large, ExtraLarge or a size such as A5`,
		},
		{
			`  </WebRole>`, `  </WebRole><WorkerRole name="contactmanager.web"/>`,
			`s:6:25: role "contactmanager.web" exists already; the first is at line 2`,
		},
		{`  </WebRole>`, `  </WebRole><CacheRole/>`, `s:6:13: <CacheRole> is not known in <ServiceDefinition>; it ` +
			`may contain LoadBalancerProbes, NetworkTrafficRules, WebRole, WorkerRole`},
		{
			`  </WebRole>`, `  </WebRole><LoadBalancerProbes><LoadBalancerProbe name="p" protocol="tcp" ` +
				`path="/"/><LoadBalancerProbe name="q" protocol="http" intervalInSeconds="4"/></LoadBalancerProbes>`,
			`s:6:76: probe "p" has the protocol tcp and can't have a path` + "\n" +
				`s:6:86: probe "q" has the protocol http and needs a path` + "\n" +
				`s:6:130: intervalInSeconds is "4", expected a number from 5 to 2147483647`,
		},
		{
			`  </WebRole>`, `  </WebRole><NetworkTrafficRules><OnlyAllowTrafficTo><Destinations><RoleEndpoint ` +
				`roleName="w" endpointName="e"/></Destinations></OnlyAllowTrafficTo></NetworkTrafficRules>`,
			`s:6:34: <OnlyAllowTrafficTo> needs <AllowAllTraffic> or <WhenSource>` + "\n" +
				`s:6:82: role "w" is not defined`,
		},
		{
			`schemaVersion=`, `upgradeDomainCount="21" schemaVersion=`,
			`s:1:120: upgradeDomainCount is "21", expected a number from 1 to 20`,
		},
		{` name="ContactManager"`, ``, `s:1:1: <ServiceDefinition> lacks the attribute "name"`},
	} {
		_, err := Read("s", []byte(strings.Replace(contactManager, c.old, c.new, 1)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s -> %s:\n got %v\nwant %s", c.old, c.new, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	wrap := func(inside string) []byte {
		return []byte(`<ServiceDefinition name="X" xmlns="` + Namespace + `">` + inside + `</ServiceDefinition>`)
	}
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	endpoints := func(n int) []byte {
		return wrap(`<WorkerRole name="W"><Endpoints>` + many(n, `<InternalEndpoint name="e%d" protocol="tcp"/>`) +
			`</Endpoints></WorkerRole>`)
	}
	for _, good := range [][]byte{wrap(many(MaxRoles, `<WorkerRole name="w%d"/>`)), endpoints(MaxEndpoints)} {
		if _, err := Read("s", good); err != nil {
			t.Error(err)
		}
	}
	for want, bad := range map[string][]byte{
		"the definition has 26 roles, a deployment can have 25": wrap(
			many(MaxRoles+1, `<WorkerRole name="w%d"/>`)),
		"the definition has 26 elements <InternalEndpoint>, a deployment can have 25": endpoints(MaxEndpoints + 1),
		"the definition has no role; add a <WebRole> or a <WorkerRole>":               wrap(""),
		`web role "W" has no <Sites> and can have one internal endpoint only`: wrap(
			`<WebRole name="W"><Endpoints><InputEndpoint name="h" protocol="http" port="80"/>` +
				many(2, `<InternalEndpoint name="e%d" protocol="tcp"/>`) + `</Endpoints></WebRole>`),
	} {
		if _, err := Read("s", bad); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
