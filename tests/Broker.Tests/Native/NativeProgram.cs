using System.Diagnostics;
using System.Globalization;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Native;

/// <summary>A small C program, built with this machine's C compiler: for what managed code can't do, such as surviving a SIGBUS.</summary>
internal sealed class NativeProgram : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-test-");

    private NativeProgram()
    {
    }

    private string Executable => Path.Combine(_directory.FullName, "program");

    public static async Task<NativeProgram> CompileAsync(string source, params string[] compilerArguments)
    {
        NativeProgram program = new();
        string file = Path.Combine(program._directory.FullName, "program.c");
        await File.WriteAllTextAsync(file, source);
        string compiler = Environment.GetEnvironmentVariable("CC") ?? "cc";
        using Process process = Process.Start(new ProcessStartInfo(compiler, ["-Wall", "-Werror", "-pthread", "-o", program.Executable, .. compilerArguments, file])
        {
            RedirectStandardError = true,
        })!;
        string errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, errors);
        return program;
    }

    /// <summary>Starts it; the caller talks to it through its standard input and output.</summary>
    public Process Start(params string[] arguments) => Process.Start(new ProcessStartInfo(Executable, arguments)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;

    /// <summary>Starts it with a copy of <paramref name="descriptor"/>, whose number is its first argument.</summary>
    public Process StartWith(OwnedDescriptor descriptor, params string[] arguments)
    {
        const int Duplicate = 0;
        int inherited = Libc.Control(descriptor, Duplicate, 100);
        Assert.True(inherited >= 0);
        using OwnedDescriptor copy = new(inherited);
        return Start([inherited.ToString(CultureInfo.InvariantCulture), .. arguments]);
    }

    /// <summary>Runs it to its end.</summary>
    public async Task<string> RunAsync(params string[] arguments)
    {
        using Process process = Start(arguments);
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        return output;
    }

    public void Dispose() => _directory.Delete(recursive: true);
}
