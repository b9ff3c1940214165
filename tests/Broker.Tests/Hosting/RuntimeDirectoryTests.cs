using BarBroker.Hosting;
using Xunit;

namespace BarBroker.Tests.Hosting;

public sealed class RuntimeDirectoryTests : IDisposable
{
    private const UnixFileMode Passable = (UnixFileMode)0b111_101_101;

    private readonly DirectoryInfo _parent = Directory.CreateTempSubdirectory("runtime-");
    private readonly string _path;

    public RuntimeDirectoryTests()
    {
        _path = Path.Combine(_parent.FullName, "run");
    }

    public void Dispose() => _parent.Delete(recursive: true);

    [Fact]
    public void A_missing_one_is_made_so_that_clients_can_pass_through()
    {
        RuntimeDirectory.Prepare(_path);

        Assert.Equal(Passable, File.GetUnixFileMode(_path));
    }

    [Fact]
    public void One_that_stands_keeps_its_mode()
    {
        Directory.CreateDirectory(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        RuntimeDirectory.Prepare(_path);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_path));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    [InlineData(UnixFileMode.OtherWrite | UnixFileMode.StickyBit)]
    public void One_that_others_can_write_is_refused(UnixFileMode extra)
    {
        Directory.CreateDirectory(_path);
        File.SetUnixFileMode(_path, Passable | extra);

        StartException refused = Assert.Throws<StartException>(() => RuntimeDirectory.Prepare(_path));

        Assert.Contains($"chmod go-w {_path}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_that_a_link_leads_to_is_judged_by_what_it_is()
    {
        Directory.CreateDirectory(_path);
        File.SetUnixFileMode(_path, Passable | UnixFileMode.OtherWrite);
        string link = Path.Combine(_parent.FullName, "link");
        File.CreateSymbolicLink(link, _path);

        Assert.Throws<StartException>(() => RuntimeDirectory.Prepare(link));
    }

    [Fact]
    public void One_that_cannot_be_made_is_refused_by_name()
    {
        File.WriteAllText(_path, "");
        string below = Path.Combine(_path, "run");

        StartException refused = Assert.Throws<StartException>(() => RuntimeDirectory.Prepare(below));

        Assert.Contains(below, refused.Message, StringComparison.Ordinal);
    }
}
