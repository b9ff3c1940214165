using System.Diagnostics;
using System.Runtime.CompilerServices;
using BarBroker.Tests.Native;
using Xunit;

[assembly: AssemblyFixture(typeof(BarBroker.Tests.Client.InstalledLibrary))]

namespace BarBroker.Tests.Client;

/// <summary>libbarbroker as a C programmer has it: after <c>make install</c>, found by pkg-config.</summary>
public sealed class InstalledLibrary : IDisposable
{
    private readonly Lazy<Task<DirectoryInfo>> _prefix = new(InstallAsync);

    /// <summary>The installed header.</summary>
    internal async Task<string> HeaderAsync() => Path.Combine((await _prefix.Value).FullName, "include/barbroker.h");

    /// <summary>The installed shared library.</summary>
    internal async Task<string> SharedAsync() => Path.Combine((await _prefix.Value).FullName, "lib/libbarbroker.so.0");

    /// <summary>Builds a program with nothing but what pkg-config says; static: with the library inside.</summary>
    internal async Task<NativeProgram> CompileAsync(string source, bool isStatic = false)
    {
        string prefix = (await _prefix.Value).FullName;
        string[] options = isStatic ? ["--cflags", "--libs", "--static"] : ["--cflags", "--libs"];
        string flags = await RunAsync("env", [$"PKG_CONFIG_PATH={prefix}/lib/pkgconfig", "pkg-config", .. options, "barbroker"]);
        string[] words = flags.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

        // The libraries come before the source here: a linker that drops what nobody has asked for yet must not.
        string[] order = isStatic ? ["-Wl,-Bstatic", "-Wl,--whole-archive"] : ["-Wl,--no-as-needed", $"-Wl,-rpath,{prefix}/lib"];
        string[] after = isStatic ? ["-Wl,--no-whole-archive", "-Wl,-Bdynamic"] : [];
        return await NativeProgram.CompileAsync(source, ["-Wextra", "-D_GNU_SOURCE", .. order, .. words, .. after]);
    }

    public void Dispose()
    {
        if (_prefix is { IsValueCreated: true, Value.IsCompletedSuccessfully: true })
        {
            _prefix.Value.Result.Delete(recursive: true);
        }
    }

    /// <summary>Runs a program to its end, which has to be a good one.</summary>
    internal static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} ended with {process.ExitCode}: {output}{await errors}");
        return output;
    }

    private static async Task<DirectoryInfo> InstallAsync()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("bar-broker-library-");
        await RunAsync("make", "-s", "-C", Sources(), $"O={directory.FullName}/obj", $"PREFIX={directory.FullName}", "install");
        return directory;
    }

    private static string Sources([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../../Client.Sdk/native"));
}
