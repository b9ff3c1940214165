using System.Text;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class AdminTests
{
    private static readonly BrokerPolicy Policy = Read("""
        { "uid": 1, "scopes": ["view"] },
        { "gid": 2, "scopes": ["revoke", "devices"], "devices": ["a"] },
        { "allOf": [{ "uid": 3 }, { "unit": "ops.service" }], "scopes": ["view", "revoke", "devices"], "devices": ["a", "b"] }
        """);

    public static TheoryData<uint, uint, string?, string, string?, bool> Questions => new()
    {
        { 1, 0, null, "View", "a", true },
        { 1, 0, null, "View", null, true },
        { 1, 0, null, "Revoke", "a", false },
        { 1, 0, null, "Devices", "a", false },
        { 9, 2, null, "Revoke", "a", true },
        { 9, 2, null, "Devices", "a", true },
        { 9, 2, null, "Revoke", "b", false },
        { 9, 2, null, "Revoke", null, false },
        { 9, 2, null, "View", "a", false },
        { 3, 0, "ops.service", "Devices", "b", true },
        { 3, 0, "other.service", "Devices", "b", false },
        { 3, 0, "ops.service", "View", null, false },
        { 0, 0, null, "View", "a", false },
        { 1, 2, null, "Revoke", "a", true },
    };

    public static TheoryData<string, string> Errors => new()
    {
        { "5", "admins[0]: found 5; this is an object with \"uid\", \"user\"" },
        { "{ \"scopes\": [\"view\"] }", "admins[0]: found none of \"uid\", \"user\", \"gid\", \"group\", \"unit\" and \"allOf\". Exactly one of them says who the admin is." },
        { "{ \"uid\": 1 }", "admins[0]: \"scopes\" is missing. Write for example \"scopes\": [\"view\"]." },
        { "{ \"uid\": 1, \"scopes\": \"view\" }", "admins[0].scopes: found \"view\"; this is an array of scopes" },
        { "{ \"uid\": 1, \"scopes\": [] }", "admins[0].scopes: there is no scope here, and so nothing that the admin may do. Known are: view, revoke, devices." },
        { "{ \"uid\": 1, \"scopes\": [\"views\"] }", "admins[0].scopes[0]: found \"views\"; this is no scope. Did you mean 'view'?" },
        { "{ \"uid\": 1, \"scopes\": [7] }", "admins[0].scopes[0]: found 7; this is no scope. Known are: view, revoke, devices." },
        { "{ \"uid\": 1, \"scopes\": [\"view\", \"view\"] }", "admins[0].scopes[1]: found \"view\" for the second time. Leave one." },
        { "{ \"uid\": 1, \"scopes\": [\"view\"], \"devices\": [] }", "admins[0].devices: there is no device here, and so nothing to administrate." },
        { "{ \"uid\": 1, \"scopes\": [\"view\"], \"devices\": [\"c\"] }", "admins[0].devices[0]: found \"c\"; no device of this file has that name. Did you mean 'a'?" },
        { "{ \"uid\": 1, \"scopes\": [\"view\"], \"devices\": [\"a\", \"a\"] }", "admins[0].devices[1]: found \"a\" for the second time. Leave one." },
        { "{ \"uid\": 1, \"scopes\": [\"view\"], \"access\": 1 }", "admins[0].access: this key means nothing here." },
    };

    [Theory]
    [MemberData(nameof(Questions))]
    public void An_admin_may_what_one_line_allows_and_nothing_else(uint uid, uint gid, string? unit, string scope, string? device, bool expected)
        => Assert.Equal(expected, Policy.MayAdministrate(new PeerCredentials(uid, gid, [], 1) { Unit = unit }, Enum.Parse<AdminScopes>(scope), device));

    [Fact]
    public void Where_the_file_names_no_admins_there_are_none()
        => Assert.False(PolicyReader.Read("""{ "devices": { "a": { "address": "0000:01:00.0" } } }"""u8, "policy.json")
            .MayAdministrate(new PeerCredentials(0, 0, [0], 1), AdminScopes.View, null));

    [Theory]
    [MemberData(nameof(Errors))]
    public void A_bad_admin_is_refused_with_place_key_and_cure(string admin, string message)
    {
        PolicyError error = Assert.Single(Assert.Throws<PolicyException>(() => Read(admin)).Errors);

        Assert.StartsWith(message, $"{error.KeyPath}: {error.Message}", StringComparison.Ordinal);
        Assert.Equal(2, error.At.Line);
    }

    private static BrokerPolicy Read(string admins) => PolicyReader.Read(
        Encoding.UTF8.GetBytes($$"""
            { "devices": { "a": { "address": "0000:01:00.0" }, "b": { "address": "0000:02:00.0" } }, "admins": [
            {{admins}} ] }
            """),
        "policy.json");
}
