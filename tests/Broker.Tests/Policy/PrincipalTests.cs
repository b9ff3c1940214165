using System.Text;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class PrincipalTests
{
    public static TheoryData<string, int, string> Errors => new()
    {
        // In place of whom a grant is for, from column 3 of line 2.
        { "\"user\": 1001", 11, "user: found 1001; this is the name of a user, such as \"alice\". A number goes under \"uid\"." },
        { "\"user\": \"1001\"", 11, "user: found \"1001\"; this is the name of a user" },
        { "\"user\": \"\"", 11, "user: found \"\"; this is the name of a user" },
        { "\"user\": \"alice:x\"", 11, "user: found \"alice:x\"; this is the name of a user" },
        { "\"user\": \"alice\\u0000bob\"", 11, "user: found \"alice\\u0000bob\"; this is the name of a user" },
        { "\"user\": \"alice\\n\"", 11, "user: found \"alice\\n\"; this is the name of a user" },
        { "\"user\": \"" + new string('a', 257) + "\"", 11, "user: found \"aaaa" },
        { "\"user\": \"mallory\"", 11, "user: found \"mallory\"; this machine has no user of that name (getent passwd mallory). Create it, or name another." },
        { "\"user\": \"nobody\"", 11, "user: 65534 is how every user and group of a container appears" },
        { "\"user\": \"broken\"", 11, "user: found \"broken\"; its number can't be found out: getpwnam_r broken" },
        { "\"group\": 100", 12, "group: found 100; this is the name of a group, such as \"bar-lease\". A number goes under \"gid\"." },
        { "\"group\": \"alice\"", 12, "group: found \"alice\"; this machine has no group of that name (getent group alice)" },
        { "\"gid\": \"drivers\"", 10, "gid: found \"drivers\"; this is the number of a group, from 0 to 4294967294. A name goes under \"group\"." },
        { "\"unit\": 7", 11, "unit: found 7; this is the name of a service or scope of the system's service manager, such as \"nvme-driver.service\"." },
        { "\"unit\": \"driver\"", 11, "unit: found \"driver\"; the kind of unit is missing. Write \"driver.service\"." },
        { "\"unit\": \"driver.timer\"", 11, "unit: found \"driver.timer\"; the kind of unit is missing. Write \"driver.timer.service\"." },
        { "\"unit\": \"a/b.service\"", 11, "unit: found \"a/b.service\"; this is the name of a service or scope" },
        { "\"uid\": 1, \"unit\": \"a.service\"", 1, ": found both \"uid\" and \"unit\". Exactly one of them says for whom the grant is." },
        { "\"uid\": 1, \"gid\": 1, \"unit\": \"a.service\"", 1, ": found \"uid\", \"gid\" and \"unit\". Exactly one of them says" },
        { "\"allOf\": {}", 12, "allOf: found an object; this is an array of objects such as { \"uid\": 1001 }" },
        { "\"allOf\": []", 12, "allOf: found 0 conditions; a process has to fulfil 1 to 8." },
        { "\"allOf\": [" + string.Join(", ", Enumerable.Range(1, 9).Select(gid => $"{{ \"gid\": {gid} }}")) + "]", 12, "allOf: found 9 conditions; a process has to fulfil 1 to 8." },
        { "\"allOf\": [{}]", 13, "allOf[0]: found none of \"uid\", \"user\", \"gid\", \"group\" and \"unit\"." },
        { "\"allOf\": [{ \"allOf\": [{ \"uid\": 1 }] , \"uid\": 1 }]", 15, "allOf[0].allOf: this key means nothing here." },
        { "\"allOf\": [{ \"uid\": 1 }, { \"uid\": 2 }]", 36, "allOf[1].uid: no process is both uid 1 and uid 2. Leave one, or write a line for each." },
        { "\"allOf\": [{ \"uid\": 1001 }, { \"user\": \"alice\" }]", 40, "allOf[1].user: user alice (uid 1001) stands here already, as uid 1001. Leave one." },
        { "\"allOf\": [{ \"group\": \"drivers\" }, { \"gid\": 2000 }]", 46, "allOf[1].gid: gid 2000 stands here already, as group drivers (gid 2000). Leave one." },
        { "\"allOf\": [{ \"unit\": \"a.service\" }, { \"unit\": \"b.service\" }]", 48, "allOf[1].unit: no process is both unit a.service and unit b.service." },
    };

    public static TheoryData<string, uint, uint[], string?, bool> Matches => new()
    {
        { "\"user\": \"alice\"", 1001, [1001], null, true },
        { "\"user\": \"alice\"", 1002, [1001, 2000], null, false },
        { "\"group\": \"drivers\"", 1, [1, 2000], null, true },
        { "\"group\": \"drivers\"", 2000, [1], null, false },
        { "\"unit\": \"nvme@0.service\"", 1, [1], "nvme@0.service", true },
        { "\"unit\": \"nvme@0.service\"", 1, [1], "nvme@1.service", false },
        { "\"unit\": \"nvme@0.service\"", 1, [1], null, false },
        { "\"allOf\": [{ \"uid\": 1001 }]", 1001, [1], null, true },
        { "\"allOf\": [{ \"user\": \"alice\" }, { \"gid\": 2000 }, { \"gid\": 2001 }, { \"unit\": \"a.service\" }]", 1001, [1, 2000, 2001], "a.service", true },
        { "\"allOf\": [{ \"user\": \"alice\" }, { \"gid\": 2000 }, { \"gid\": 2001 }, { \"unit\": \"a.service\" }]", 1002, [1, 2000, 2001], "a.service", false },
        { "\"allOf\": [{ \"user\": \"alice\" }, { \"gid\": 2000 }, { \"gid\": 2001 }, { \"unit\": \"a.service\" }]", 1001, [1, 2001], "a.service", false },
        { "\"allOf\": [{ \"user\": \"alice\" }, { \"gid\": 2000 }, { \"gid\": 2001 }, { \"unit\": \"a.service\" }]", 1001, [1, 2000], "a.service", false },
        { "\"allOf\": [{ \"user\": \"alice\" }, { \"gid\": 2000 }, { \"gid\": 2001 }, { \"unit\": \"a.service\" }]", 1001, [1, 2000, 2001], null, false },
    };

    [Theory]
    [MemberData(nameof(Matches))]
    public void A_grant_is_for_processes_that_are_all_that_it_says(string principal, uint uid, uint[] groups, string? unit, bool expected)
    {
        PeerCredentials peer = new(uid, groups[0], [.. groups], 1) { Unit = unit };

        Assert.Equal(expected, Read(principal).Decide(peer, new WindowTarget("x", "w"), LeaseAccess.ReadOnly, p2p: false) is Granted);
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void A_bad_principal_is_refused_with_place_key_and_cure(string principal, int column, string message)
    {
        PolicyError error = Assert.Single(Assert.Throws<PolicyException>(() => Read(principal)).Errors);

        string dot = message.StartsWith(':') ? "" : ".";
        Assert.StartsWith($"policy.json:2:{column}: grants[0]{dot}{message}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_user_database_knows_root_and_no_invented_user()
    {
        Assert.Equal(0U, Users.FindUid("root"));
        Assert.Null(Users.FindUid("no-such-user-here"));
    }

    [Fact]
    public void Names_are_those_of_this_machine_unless_told_otherwise()
        => Assert.Equal(
            new UserPrincipal(0, "root"),
            PolicyReader.Read(Text("\"user\": \"root\""), "policy.json").Devices[0].Grants[0].Principal);

    private static BrokerPolicy Read(string principal) => PolicyReader.Read(Text(principal), "policy.json", new FewAccounts());

    private static byte[] Text(string principal) => Encoding.UTF8.GetBytes($$"""
        { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": 4096 } } } }, "grants": [
        { {{principal}}, "device": "x", "windows": ["w"], "access": "read-only" } ] }
        """);

    private sealed class FewAccounts : IAccounts
    {
        public uint? FindUid(string name) => name switch
        {
            "alice" => 1001,
            "nobody" => 65534,
            "broken" => throw new UnixException("getpwnam_r broken", Errno.TooManyFiles),
            _ => null,
        };

        public uint? FindGid(string name) => name == "drivers" ? 2000 : null;
    }
}
