using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class PolicyFileTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("policy-");
    private readonly string _path;

    public PolicyFileTests()
    {
        _path = Path.Combine(_directory.FullName, "policy.json");
    }

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void A_regular_file_is_read_also_through_a_link()
    {
        WriteValid();
        string link = Path.Combine(_directory.FullName, "link");
        File.CreateSymbolicLink(link, _path);

        Assert.Equal("x", PolicyFile.Load(link, mustBePrivate: false).Devices.Single().Name);
    }

    /// <summary>The better part of a minute, if each place were counted from the start of the file.</summary>
    [Fact(Timeout = 20_000)]
    public async Task A_file_of_thousands_of_windows_is_read_in_no_time()
    {
        string windows = string.Join(',', Enumerable.Range(0, 10_000).Select(i => $"\"w{i}\":{{\"bar\":0,\"offset\":{i * 4096},\"length\":4096}}"));
        await File.WriteAllTextAsync(
            _path,
            """{"runtimeDirectory":"/run/x","clientGroup":1,"devices":{"x":{"simulated":{"bars":{"0":"64MiB"}},"windows":{"""
            + windows
            + """}}},"grants":[{"uid":1,"device":"x","windows":["w1"],"access":"read-only"}]}""",
            TestContext.Current.CancellationToken);

        Assert.Equal(10_000, (await Task.Run(() => PolicyFile.Load(_path, mustBePrivate: false), TestContext.Current.CancellationToken)).Devices.Single().Windows.Length);
    }

    [Fact]
    public void A_missing_file_is_refused_by_name()
        => Assert.StartsWith($"{_path}: can't be read: open {_path}: ", Refusal(_path), StringComparison.Ordinal);

    [Fact]
    public void A_directory_is_refused()
        => Assert.Equal($"{_directory.FullName}: is no regular file.", Refusal(_directory.FullName));

    [Fact]
    public void A_device_that_never_ends_is_refused()
        => Assert.Equal("/dev/zero: is no regular file.", Refusal("/dev/zero"));

    [Fact]
    public void A_file_too_large_for_a_policy_is_refused()
    {
        using (FileStream file = File.Create(_path))
        {
            file.SetLength(PolicyFile.LargestFile + 1);
        }

        Assert.Equal($"{_path}: has 4194305 bytes; a policy has at most 4194304.", Refusal(_path));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_can_write_is_refused_where_it_must_be_private(UnixFileMode extra)
    {
        WriteValid();
        File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite | extra);

        Assert.Contains("can be written by others", Refusal(_path, mustBePrivate: true), StringComparison.Ordinal);
        Assert.NotNull(PolicyFile.Load(_path, mustBePrivate: false));
    }

    [Fact]
    public void A_file_of_root_that_nobody_else_can_write_is_trusted_and_one_of_any_other_user_is_not()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can give a file away.");
        WriteValid();

        Assert.NotNull(PolicyFile.Load(_path, mustBePrivate: true));
        GiveTo(_path, 1001);

        Assert.Equal($"{_path}: belongs to uid 1001, not root, who could grant themselves anything: chown root {_path}", Refusal(_path, mustBePrivate: true));
        Assert.NotNull(PolicyFile.Load(_path, mustBePrivate: false));
    }

    [Fact]
    public void Of_a_link_it_counts_whose_the_file_is_that_it_leads_to()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can give a file away.");
        WriteValid();
        string link = Path.Combine(_directory.FullName, "link");
        File.CreateSymbolicLink(link, _path);

        GiveTo(link, 1001);
        Assert.NotNull(PolicyFile.Load(link, mustBePrivate: true));

        GiveTo(_path, 1001);
        GiveTo(link, 0);
        Assert.Contains("belongs to uid 1001, not root", Refusal(link, mustBePrivate: true), StringComparison.Ordinal);
    }

    [Fact]
    public void Root_and_this_user_are_trusted_and_nobody_else()
    {
        using OwnedDescriptor own = Files.Open(_directory.FullName, OpenFlags.ReadOnly);
        uint self = Files.FactsOf(own).Owner;

        Assert.True(ProcessUser.IsTrusted(0));
        Assert.True(ProcessUser.IsTrusted(self));
        Assert.False(ProcessUser.IsTrusted(self + 1));
    }

    [Fact]
    public void The_group_database_knows_root_and_no_invented_group()
    {
        Assert.Equal(0U, Groups.FindGid("root"));
        Assert.Null(Groups.FindGid("no-such-group-here"));
    }

    private static string Refusal(string path, bool mustBePrivate = false)
        => Assert.Single(Assert.Throws<PolicyException>(() => PolicyFile.Load(path, mustBePrivate)).Errors).ToString();

    /// <summary>The file or link itself.</summary>
    private static void GiveTo(string path, uint owner) => Assert.Equal(0, Libc.ChangeOwner(path, owner, uint.MaxValue));

    private void WriteValid()
    {
        File.WriteAllText(_path, """{ "devices": { "x": { "address": "0000:01:00.0" } } }""");
        File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}
