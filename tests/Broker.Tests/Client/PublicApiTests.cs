using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using BarBroker.Client;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>What the package promises, as text beside this file: a change to it is a decision, and is seen in review.</summary>
public sealed class PublicApiTests
{
    [Fact]
    public async Task The_public_surface_is_the_approved_one()
    {
        string approved = Path.ChangeExtension(ThisFile(), "approved.txt");
        string actual = Describe(typeof(BarBrokerClient).Assembly);
        string expected = File.Exists(approved) ? await File.ReadAllTextAsync(approved, TestContext.Current.CancellationToken) : "";
        if (actual != expected)
        {
            string received = Path.Combine(AppContext.BaseDirectory, "PublicApiTests.received.txt");
            await File.WriteAllTextAsync(received, actual, TestContext.Current.CancellationToken);
            Assert.Fail($"The SDK's public surface has changed. If that is meant, copy {received} over {approved} and say so in the commit.\n{actual}");
        }
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;

    private static string Describe(Assembly assembly) => string.Join('\n', assembly.GetExportedTypes()
        .OrderBy(type => type.FullName, StringComparer.Ordinal)
        .SelectMany(type => DescribeMembers(type).Order(StringComparer.Ordinal).Select(member => $"    {member}").Prepend(DescribeType(type)))) + "\n";

    private static string DescribeType(Type type)
    {
        string kind = type switch
        {
            { IsEnum: true } => "enum",
            { IsValueType: true } => "struct",
            { IsInterface: true } => "interface",
            { IsAbstract: true, IsSealed: true } => "static class",
            { IsAbstract: true } => "abstract class",
            { IsSealed: true } => "sealed class",
            _ => "class",
        };
        IEnumerable<Type> parents = type.IsEnum ? [] : type.GetInterfaces().OrderBy(parent => parent.FullName, StringComparer.Ordinal);
        if (type.BaseType is { } basis && basis != typeof(object) && basis != typeof(ValueType) && basis != typeof(Enum))
        {
            parents = parents.Except(basis.GetInterfaces()).Prepend(basis);
        }

        string list = string.Join(", ", parents.Select(Name));
        return $"{kind} {type.FullName}{(list.Length == 0 ? "" : $" : {list}")}";
    }

    private static IEnumerable<string> DescribeMembers(Type type)
    {
        const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (MemberInfo member in type.GetMembers(Declared))
        {
            switch (member)
            {
                case FieldInfo { IsPublic: true, IsSpecialName: false } field when type.IsEnum || field.IsLiteral:
                    yield return $"{field.Name} = {Convert.ToString(field.GetRawConstantValue(), CultureInfo.InvariantCulture)}";
                    break;
                case FieldInfo { IsPublic: true, IsSpecialName: false } field:
                    yield return $"{Name(field.FieldType)} {field.Name}";
                    break;
                case PropertyInfo { GetMethod: { } getter } property when IsVisible(getter):
                    yield return $"{Prefix(getter)}{NameOf(property)} {property.Name} {{ get;{Setter(property)} }}";
                    break;
                case EventInfo { AddMethod: { } adder } happening when IsVisible(adder):
                    yield return $"event {Name(happening.EventHandlerType!)} {happening.Name}";
                    break;
                case ConstructorInfo constructor when IsVisible(constructor):
                    yield return $"new({Parameters(constructor)})";
                    break;
                case MethodInfo { IsSpecialName: false } method when IsVisible(method) && !method.IsDefined(typeof(CompilerGeneratedAttribute)):
                    yield return $"{Prefix(method)}{Name(method.ReturnType)} {method.Name}({Parameters(method)})";
                    break;
                default:
                    break;
            }
        }
    }

    private static bool IsVisible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static string Prefix(MethodBase method) => method switch
    {
        { IsStatic: true } => "static ",
        { IsAbstract: true } => "abstract ",
        { IsFamily: true } => "protected ",
        _ => "",
    };

    private static string NameOf(PropertyInfo property) =>
        Name(property.PropertyType) + (new NullabilityInfoContext().Create(property).ReadState == NullabilityState.Nullable && !property.PropertyType.IsValueType ? "?" : "");

    private static string Setter(PropertyInfo property) => property.SetMethod switch
    {
        not { IsPublic: true } => "",
        { ReturnParameter: { } result } when result.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) => " init;",
        _ => " set;",
    };

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(parameter =>
        $"{Name(parameter.ParameterType)} {parameter.Name}{(parameter.HasDefaultValue ? $" = {parameter.DefaultValue ?? "default"}" : "")}"));

    private static string Name(Type type)
    {
        if (Nullable.GetUnderlyingType(type) is { } underlying)
        {
            return $"{Name(underlying)}?";
        }

        return type.IsGenericType
            ? $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
            : type.Name;
    }
}
